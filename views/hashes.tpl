% rebase('layout.tpl', title='HA1s of ' + user.username)
<p><a href="/users/{{user.id}}">Back to {{user.username}}</a></p>
<h1>HA1s of {{user.username}}</h1>
<article class="panel">
<dl class="hashes" id="hashes">
% for algorithm, ha1 in hashes.items():
<div>
<dt>{{algorithm}}</dt>
<dd><input readonly value="{{ha1}}" aria-label="{{algorithm}} HA1 of {{user.username}}"><button type="button" class="small secondary" data-copy>Copy</button></dd>
</div>
% end
</dl>
</article>
<p class="muted">Whoever has an HA1 can register as this user: keep it like the password.</p>
