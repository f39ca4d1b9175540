<table class="cards-when-narrow" aria-label="Blocked logins">
<thead>
<tr><th scope="col">User</th><th scope="col">Address</th><th scope="col">Wrong passwords</th><th scope="col">Ends in</th><th scope="col">Action</th></tr>
</thead>
<tbody>
% for login in rows:
<tr>
<td data-label="User">{{login.username}}</td>
<td data-label="Address"><span class="mono">{{login.address}}</span></td>
<td data-label="Wrong passwords">{{login.tries}}</td>
<td data-label="Ends in">{{span(login.until - now)}}</td>
<td data-label="Action" class="whole">
% if login.is_banned:
<span>The whole address is banned: unban it under <a href="/trouble">Trouble</a>.</span>
% elif can_change:
<form class="inline" method="post" action="{{action}}"><input type="hidden" name="username" value="{{login.username}}"><input type="hidden" name="address" value="{{login.address}}"><button class="s" aria-label="Let {{login.username}} at {{login.address}} try again">Let it try again</button></form>
% end
</td>
</tr>
% end
</tbody>
</table>
