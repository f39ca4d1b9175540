% rebase('layout.tpl', title=_('Second factor'))
<p class="small"><a href="/account">{{_('Back to your account')}}</a></p>
<div class="head"><h1>{{_('Turn off the second factor')}}</h1></div>
<section class="panel form">
% if is_required:
<p>{{_('This server requires a second factor: it stays on. If you have a new phone, another administrator can remove it, and you can set it up again.')}}</p>
% end
% if not is_required or errors:
<form method="post" action="/account/second-factor/off">
% include('factor_fields.tpl', errors=errors)
<button class="d">{{_('Turn off')}}</button>
</form>
% end
</section>
