% rebase('layout.tpl', title='HA1s of ' + user.username)
<p><a href="/users/{{user.id}}{{list_query}}">Back to {{user.username}}</a></p>
<article class="panel" id="hashes">
<h2 id="hashes-title">HA1s of {{user.username}}</h2>
<dl class="hashes">
% for algorithm, ha1 in hashes.items():
<div>
<dt>{{algorithm}}</dt>
<dd><input readonly value="{{ha1}}" aria-label="{{algorithm}} HA1 of {{user.username}}"><button type="button" class="small secondary" data-copy>Copy</button></dd>
</div>
% end
</dl>
<p class="muted">Anyone with an HA1 can register as this user: keep it as secret as the password.</p>
</article>
