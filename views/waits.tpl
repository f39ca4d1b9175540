<table class="cards-when-narrow" aria-label="Users who have to wait">
<thead>
<tr><th scope="col">User</th><th scope="col">Address</th><th scope="col">Wrong passwords</th><th scope="col">Ends in</th><th scope="col">What to do</th></tr>
</thead>
<tbody>
% for wait in rows:
<tr>
<td data-label="User">{{wait.username}}</td>
<td data-label="Address"><span class="mono">{{wait.address}}</span></td>
<td data-label="Wrong passwords">{{wait.tries}}</td>
<td data-label="Ends in">{{span(wait.until - now)}}</td>
<td data-label="What to do" class="whole">
% if wait.is_banned:
<span>The whole address is banned: lift that under <a href="/bans">Bans</a>.</span>
% else:
<form class="inline" method="post" action="{{action}}"><input type="hidden" name="username" value="{{wait.username}}"><input type="hidden" name="address" value="{{wait.address}}"><button class="small" aria-label="Lift the wait of {{wait.username}} at {{wait.address}}">Lift the wait</button></form>
% end
</td>
</tr>
% end
</tbody>
</table>
