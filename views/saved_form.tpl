% rebase('layout.tpl', title=_('Signed in again'))
<div class="narrow">
<div class="head"><h1>{{_('Signed in again')}}</h1></div>
<section class="panel">
<p>{{_('Your session had ended, so this form was not processed:')}}</p>
<dl class="kv">
<dt>{{_('Sent to')}}</dt><dd class="mono">{{saved.path.partition('?')[0]}}</dd>
% for name, value in saved.fields:
<dt>{{name}}</dt><dd>{{value}}</dd>
% end
</dl>
% if saved.lacks_password:
<p>{{_('The password was not saved: type it again.')}}</p>
% end
<div class="row">
<form class="inline" method="post" action="{{saved.path}}">
% for name, value in saved.fields:
<input type="hidden" name="{{name}}" value="{{value}}">
% end
<button class="p" autofocus>{{_('Send it now')}}</button>
</form>
<a class="btn" href="{{next or '/'}}" role="button">{{_('Discard it')}}</a>
</div>
</section>
</div>
