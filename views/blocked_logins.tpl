<table class="cards-when-narrow" aria-label="Blocked logins">
<thead>
<tr><th scope="col">User</th><th scope="col">Address</th><th scope="col">Wrong passwords</th><th scope="col">Ends in</th><th scope="col">Action</th></tr>
</thead>
<tbody>
% for wait in rows:
<tr>
<td data-label="User">{{wait.username}}</td>
<td data-label="Address"><span class="mono">{{wait.address}}</span></td>
<td data-label="Wrong passwords">{{wait.tries}}</td>
<td data-label="Ends in">{{span(wait.until - now)}}</td>
<td data-label="Action" class="whole">
% if wait.is_banned:
<span>The whole address is banned: unban it under <a href="/bans">Bans</a>.</span>
% else:
<form class="inline" method="post" action="{{action}}"><input type="hidden" name="username" value="{{wait.username}}"><input type="hidden" name="address" value="{{wait.address}}"><button class="small" aria-label="Unblock {{wait.username}} at {{wait.address}}">Unblock</button></form>
% end
</td>
</tr>
% end
</tbody>
</table>
