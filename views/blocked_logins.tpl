<table class="cards-when-narrow" aria-label="{{_('Blocked logins')}}">
<thead>
<tr><th scope="col">{{_('User')}}</th><th scope="col">{{_('Address')}}</th><th scope="col">{{_('Wrong passwords')}}</th><th scope="col">{{_('Ends in')}}</th><th scope="col">{{_('Action')}}</th></tr>
</thead>
<tbody>
% for login in rows:
<tr>
<td data-label="{{_('User')}}" data-column="user">{{login.username}}</td>
<td data-label="{{_('Address')}}"><span class="mono">{{login.address}}</span></td>
<td data-label="{{_('Wrong passwords')}}">{{login.tries}}</td>
<td data-label="{{_('Ends in')}}">{{span(login.until - now)}}</td>
<td data-label="{{_('Action')}}" class="whole">
% if login.is_banned:
<span>{{rich(_('The whole address is banned: unban it under <trouble>Trouble</trouble>.'), {'trouble': '/trouble'})}}</span>
% elif can_change:
<form class="inline" method="post" action="{{action}}"><input type="hidden" name="username" value="{{login.username}}"><input type="hidden" name="address" value="{{login.address}}"><button class="s" aria-label="{{_('Let it try again: {name} at {address}').format(name=login.username, address=login.address)}}">{{_('Let it try again')}}</button></form>
% end
</td>
</tr>
% end
</tbody>
</table>
