% rebase('layout.tpl', title='Recent changes of users')
<p class="small"><a href="/users{{list_query}}">Back to the list</a></p>
<div class="head"><h1>Recent changes of users</h1></div>
<p class="dim">Changes of several users can be undone for an hour. A user that was changed again since then stays as it is now.</p>
<section class="card" aria-label="Recent changes">
% if not steps:
<p class="empty">There is no change to undo.</p>
% else:
<table class="cards-when-narrow" aria-label="Recent changes">
<thead><tr><th scope="col">Change</th><th scope="col">Users</th><th scope="col">By</th><th scope="col">When</th><th scope="col">Action</th></tr></thead>
<tbody>
% for step in steps:
<tr>
<td data-label="Change">{{step_text(step)}}</td>
<td data-label="Users">{{step.about}}</td>
<td data-label="By">{{step.changed_by}}</td>
<td data-label="When" class="whole"><time datetime="{{moment(step.at)}}" title="{{moment(step.at)}}">{{ago(step.at, now)}}</time></td>
<td data-label="Action"><form class="inline" method="post" action="/users/undo/{{step.id}}{{list_query}}"><button class="s" aria-label="Undo: {{step_text(step)}}">Undo</button></form></td>
</tr>
% end
</tbody>
</table>
% end
</section>
