% rebase('layout.tpl', title=_('New recovery codes'))
<p class="small"><a href="/account">{{_('Back to your account')}}</a></p>
<div class="head"><h1>{{_('New recovery codes')}}</h1></div>
<section class="panel form">
<p>{{_('Ten new recovery codes replace all former ones. The second factor stays on.')}}</p>
<form method="post" action="/account/recovery-codes/new">
% include('factor_fields.tpl', errors=errors)
<button class="p">{{_('Make new codes')}}</button>
</form>
</section>
