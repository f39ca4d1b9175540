% rebase('layout.tpl', title='Calls')
<h1>Calls</h1>
% if not calls and not failed:
<p>No call rings or talks now.</p>
% end
<table>
<tbody>
% for call in calls + failed:
<tr><td>{{call.caller.username or call.caller.uri}}</td><td>{{call.callee.username or call.callee.uri}}</td><td>{{call.state}}</td><td>{{call.cause}}</td></tr>
% end
</tbody>
</table>
