% rebase('layout.tpl', title=_('Administrators') if not errors else _('Administrator not added'))
<div class="head"><h1>{{_('Administrators')}}</h1></div>
<section class="card">
<table class="cards-when-narrow" aria-label="{{_('Administrators')}}">
<thead><tr><th scope="col">{{_('Name')}}</th><th scope="col">{{_('Role')}}</th><th scope="col">{{_('Second factor')}}</th><th scope="col">{{_('Last seen')}}</th>\\
% if can_change:
<th scope="col">{{_('Action')}}</th>\\
% end
</tr></thead>
<tbody>
% for each in admins:
% own = each.name == session.username
<tr>
<td data-label="{{_('Name')}}"><span>{{each.name}}\\
% if own:
 <span class="pill on">{{_('you')}}</span>\\
% end
</span></td>
<td data-label="{{_('Role')}}" class="whole">{{each.role}}</td>
<td data-label="{{_('Second factor')}}" class="whole">\\
% if each.has_second_factor:
{{_('on')}}\\
% else:
<span class="{{'pill bad' if is_required else ''}}">{{_('off')}}</span>\\
% end
</td>
<td data-label="{{_('Last seen')}}" class="whole">\\
% if each.seen_at:
<time datetime="{{moment(each.seen_at)}}" title="{{moment(each.seen_at)}}">{{_('now') if own else ago(each.seen_at, now)}}</time>\\
% else:
{{_('never')}}\\
% end
</td>
% if can_change:
<td data-label="{{_('Action')}}">\\
% if own:
<a href="/account">{{_('Your account')}}</a>\\
% else:
<div class="row">
% other = 'viewer' if each.role == 'admin' else 'admin'
% make = _('Make viewer') if other == 'viewer' else _('Make admin')
<form class="inline" method="post" action="/admins/role"><input type="hidden" name="name" value="{{each.name}}"><input type="hidden" name="role" value="{{other}}"><button class="s" aria-label="{{make}}: {{each.name}}">{{make}}</button></form>
<form class="inline" method="post" action="/admins/password"><input type="hidden" name="name" value="{{each.name}}"><button class="s" aria-label="{{_('New password for {name}').format(name=each.name)}}">{{_('New password')}}</button></form>
% if each.has_second_factor:
<form class="inline" method="post" action="/admins/reset-factor"><input type="hidden" name="name" value="{{each.name}}"><button class="s" aria-label="{{_('Remove second factor of {name}').format(name=each.name)}}">{{_('Remove second factor')}}</button></form>
% end
<form class="inline" method="post" action="/admins/remove"><input type="hidden" name="name" value="{{each.name}}"><button class="s d" aria-label="{{_('Remove {name}').format(name=each.name)}}">{{_('Remove')}}</button></form>
</div>\\
% end
</td>
% end
</tr>
% end
</tbody>
</table>
<p class="body small dim">{{_('An admin may do all. A viewer reads everything but secrets, and changes nothing. A new role or password signs the person out.')}}</p>
</section>
% if can_change:
% focus = next((field for field in ('username', 'password') if field in errors), '')
<section class="card form">
<header><h2>{{_('Add an administrator')}}</h2></header>
<div class="body">
<form method="post" action="/admins/add">
% include('field.tpl', name='username', label=_('Name'), value=typed_name, longest=longest, required=True, choices=(), focus=focus, hint=_('Without blanks, such as carol.'))
% include('role.tpl', role=role, roles=roles)
% include('password.tpl', errors=errors, how=how, focus=focus)
<button class="p">{{_('Add')}}</button>
</form>
</div>
</section>
% end
