% rebase('layout.tpl', title='Tokens' if not errors else 'Token not added')
<div class="head"><h1>Tokens</h1></div>
<section class="card">
% if not tokens:
<p class="empty">There are no tokens yet.</p>
% else:
<table class="cards-when-narrow" aria-label="Tokens">
<thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Added</th><th scope="col">Last used</th>\\
% if can_change:
<th scope="col">Action</th>\\
% end
</tr></thead>
<tbody>
% for token in tokens:
<tr>
<td data-label="Name">{{token.name}}</td>
<td data-label="Role" class="whole">{{token.role}}</td>
<td data-label="Added" class="whole"><time datetime="{{moment(token.created_at)}}" title="{{moment(token.created_at)}}">{{ago(token.created_at, now)}}</time></td>
<td data-label="Last used" class="whole">\\
% if token.used_at:
<time datetime="{{moment(token.used_at)}}" title="{{moment(token.used_at)}}">{{ago(token.used_at, now)}}</time>\\
% else:
never\\
% end
</td>
% if can_change:
<td data-label="Action"><form class="inline" method="post" action="/tokens/remove"><input type="hidden" name="name" value="{{token.name}}"><button class="s d" aria-label="Remove {{token.name}}">Remove</button></form></td>
% end
</tr>
% end
</tbody>
</table>
% end
<p class="body small dim">A program sends its token in a header field, <code>Authorization: Bearer TOKEN</code>, to use the API below <code>/api/v1</code> and to read <code>/metrics</code>. A viewer reads everything but secrets; an admin may do all.</p>
</section>
% if can_change:
<section class="card form">
<header><h2>Add a token</h2></header>
<div class="body">
<form method="post" action="/tokens/add">
% include('field.tpl', name='name', label='Name', value=typed_name, longest=longest, required=True, choices=(), focus='name' if errors else '', hint='The program that uses it, such as prometheus.')
% include('role.tpl', role=role, roles=roles)
<button class="p">Add</button>
</form>
</div>
</section>
% end
