% rebase('layout.tpl', title=_('Tokens') if not errors else _('Token not added'))
<div class="head"><h1>{{_('Tokens')}}</h1></div>
<section class="card">
% if not tokens:
<p class="empty">{{_('There are no tokens yet.')}}</p>
% else:
<table class="cards-when-narrow" aria-label="{{_('Tokens')}}">
<thead><tr><th scope="col">{{_('Name')}}</th><th scope="col">{{_('Role')}}</th><th scope="col">{{_('Added')}}</th><th scope="col">{{_('Last used')}}</th>\\
% if can_change:
<th scope="col">{{_('Action')}}</th>\\
% end
</tr></thead>
<tbody>
% for token in tokens:
<tr>
<td data-label="{{_('Name')}}">{{token.name}}</td>
<td data-label="{{_('Role')}}" class="whole">{{token.role}}</td>
<td data-label="{{_('Added')}}" class="whole"><time datetime="{{moment(token.created_at)}}" title="{{moment(token.created_at)}}">{{ago(token.created_at, now)}}</time></td>
<td data-label="{{_('Last used')}}" class="whole">\\
% if token.used_at:
<time datetime="{{moment(token.used_at)}}" title="{{moment(token.used_at)}}">{{ago(token.used_at, now)}}</time>\\
% else:
{{_('never')}}\\
% end
</td>
% if can_change:
<td data-label="{{_('Action')}}"><form class="inline" method="post" action="/tokens/remove"><input type="hidden" name="name" value="{{token.name}}"><button class="s d" aria-label="{{_('Remove {name}').format(name=token.name)}}">{{_('Remove')}}</button></form></td>
% end
</tr>
% end
</tbody>
</table>
% end
<p class="body small dim">{{rich(_('A program sends its token in a header field, <code>Authorization: Bearer TOKEN</code>, to use the API below <code>/api/v1</code> and to read <code>/metrics</code>. A viewer reads everything but secrets; an admin may do all.'))}}</p>
</section>
% if can_change:
<section class="card form">
<header><h2>{{_('Add a token')}}</h2></header>
<div class="body">
<form method="post" action="/tokens/add">
% include('field.tpl', name='name', label=_('Name'), value=typed_name, longest=longest, required=True, choices=(), focus='name' if errors else '', hint=_('The program that uses it, such as prometheus.'))
% include('role.tpl', role=role, roles=roles)
<button class="p">{{_('Add')}}</button>
</form>
</div>
</section>
% end
