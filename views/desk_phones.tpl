<section class="card" id="desk-phones">
<header><h2>{{_('Desk phones')}}</h2></header>
<div class="body">
% for phone in desk.phones:
<div class="row"><span class="mono">{{phone.shown}}</span><span class="sp"></span>
<form class="inline" method="post" action="/users/{{user.id}}/desk-phones/open{{list_query}}"><input type="hidden" name="mac" value="{{phone.mac}}"><button class="s" aria-label="{{_('Give it a password')}}: {{phone.shown}}">{{_('Give it a password')}}</button></form>
<form class="inline" method="post" action="/users/{{user.id}}/desk-phones/remove{{list_query}}"><input type="hidden" name="mac" value="{{phone.mac}}"><button class="s" aria-label="{{_('Remove {name}').format(name=phone.shown)}}">{{_('Remove')}}</button></form>
</div>
% if phone.seconds:
<p class="small">{{_('It may fetch a new password for another {span}.').format(span=span(phone.seconds))}}</p>
% end
% end
<p class="small dim">{{rich(_('A desk phone fetches its settings from <mono>/provision/SECRET/</mono> of this server; SECRET is the setting <mono>provision.secret</mono>. <strong>Give it a password</strong> sets a new password when the phone fetches its settings next: other phones of this user then need a new one, too.'))}}</p>
<form method="post" action="/users/{{user.id}}/desk-phones{{list_query}}">
<label>{{_('MAC address')}}
<input class="mono" name="mac" maxlength="40" autocomplete="off" spellcheck="false" placeholder="00:15:65:AA:BB:CC" required>
</label>
<button>{{_('Add a desk phone')}}</button>
</form>
</div>
</section>
