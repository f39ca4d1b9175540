% rebase('layout.tpl', title='Administrators' if not errors else 'Administrator not added')
<div class="head"><h1>Administrators</h1></div>
<section class="card">
<table class="cards-when-narrow" aria-label="Administrators">
<thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Second factor</th><th scope="col">Last seen</th>\\
% if can_change:
<th scope="col">Action</th>\\
% end
</tr></thead>
<tbody>
% for each in admins:
% own = each.name == session.username
<tr>
<td data-label="Name"><span>{{each.name}}\\
% if own:
 <span class="pill on">you</span>\\
% end
</span></td>
<td data-label="Role" class="whole">{{each.role}}</td>
<td data-label="Second factor" class="whole">\\
% if each.has_second_factor:
on\\
% else:
<span class="{{'pill bad' if is_required else ''}}">off</span>\\
% end
</td>
<td data-label="Last seen" class="whole">\\
% if each.seen_at:
<time datetime="{{moment(each.seen_at)}}" title="{{moment(each.seen_at)}}">{{'now' if own else ago(each.seen_at, now)}}</time>\\
% else:
never\\
% end
</td>
% if can_change:
<td data-label="Action">\\
% if own:
<a href="/account">Your account</a>\\
% else:
<div class="row">
% other = 'viewer' if each.role == 'admin' else 'admin'
<form class="inline" method="post" action="/admins/role"><input type="hidden" name="name" value="{{each.name}}"><input type="hidden" name="role" value="{{other}}"><button class="s" aria-label="Make {{other}}: {{each.name}}">Make {{other}}</button></form>
<form class="inline" method="post" action="/admins/password"><input type="hidden" name="name" value="{{each.name}}"><button class="s" aria-label="New password for {{each.name}}">New password</button></form>
% if each.has_second_factor:
<form class="inline" method="post" action="/admins/reset-factor"><input type="hidden" name="name" value="{{each.name}}"><button class="s" aria-label="Remove second factor of {{each.name}}">Remove second factor</button></form>
% end
<form class="inline" method="post" action="/admins/remove"><input type="hidden" name="name" value="{{each.name}}"><button class="s d" aria-label="Remove {{each.name}}">Remove</button></form>
</div>\\
% end
</td>
% end
</tr>
% end
</tbody>
</table>
<p class="body small dim">An admin may do all. A viewer reads everything but secrets, and changes nothing. A new role or password signs the person out.</p>
</section>
% if can_change:
% focus = next((field for field in ('username', 'password') if field in errors), '')
<section class="card form">
<header><h2>Add an administrator</h2></header>
<div class="body">
<form method="post" action="/admins/add">
% include('field.tpl', name='username', label='Name', value=typed_name, longest=longest, required=True, choices=(), focus=focus, hint='Without blanks, such as carol.')
% include('role.tpl', role=role, roles=roles)
% include('password.tpl', errors=errors, how=how, focus=focus)
<button class="p">Add</button>
</form>
</div>
</section>
% end
