% rebase('layout.tpl', title=_('HA1s of {name}').format(name=user.username))
<p class="small"><a href="/users/{{user.id}}{{list_query}}">{{_('Back to {name}').format(name=user.username)}}</a></p>
<section class="panel narrow" id="hashes">
<h2 id="hashes-title">{{_('HA1s of {name}').format(name=user.username)}}</h2>
% for algorithm, ha1 in hashes.items():
<div>
<p class="small dim">{{algorithm}}</p>
<div class="hash"><input class="mono" readonly value="{{ha1}}" aria-label="{{_('{algorithm} HA1 of {name}').format(algorithm=algorithm, name=user.username)}}"><button type="button" class="s" data-copy>{{_('Copy')}}</button></div>
</div>
% end
<p class="small dim">{{_('An HA1 is enough to register as this user: keep it as secret as the password.')}}</p>
</section>
