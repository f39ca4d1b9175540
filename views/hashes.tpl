% rebase('layout.tpl', title='HA1s of ' + user.username)
<p class="small"><a href="/users/{{user.id}}{{list_query}}">Back to {{user.username}}</a></p>
<section class="panel narrow" id="hashes">
<h2 id="hashes-title">HA1s of {{user.username}}</h2>
% for algorithm, ha1 in hashes.items():
<div>
<p class="small dim">{{algorithm}}</p>
<div class="hash"><input class="mono" readonly value="{{ha1}}" aria-label="{{algorithm}} HA1 of {{user.username}}"><button type="button" class="s" data-copy>Copy</button></div>
</div>
% end
<p class="small dim">An HA1 is enough to register as this user: keep it as secret as the password.</p>
</section>
