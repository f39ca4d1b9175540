% rebase('layout.tpl', title='Signed in again')
<div class="narrow">
<h1>Signed in again</h1>
<article class="panel">
<p>Your session had ended, so this was not done:</p>
<dl class="settings">
<dt>Sent to</dt><dd class="mono">{{kept.path.partition('?')[0]}}</dd>
% for name, value in kept.fields:
<dt>{{name}}</dt><dd>{{value}}</dd>
% end
</dl>
% if kept.lacks_password:
<p>The password was not kept: type it again.</p>
% end
<div class="row">
<form class="inline" method="post" action="{{kept.path}}">
% for name, value in kept.fields:
<input type="hidden" name="{{name}}" value="{{value}}">
% end
<button autofocus>Send it now</button>
</form>
<a href="{{next or '/'}}" role="button" class="secondary outline">Leave it</a>
</div>
</article>
</div>
