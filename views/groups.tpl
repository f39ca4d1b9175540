% rebase('layout.tpl', title=_('Groups'))
<div class="head">
<h1>{{_('Groups')}}</h1>
<p class="dim num">{{ngettext('{count} group', '{count} groups', total).format(count=thousands(total)) if total else _('There are no groups yet.')}}</p>
<span class="sp"></span>
% if get('can_change', True):
<a class="btn p" href="/groups/new" role="button">{{_('Add a group')}}</a>
% end
</div>
% if not rows:
<div class="card empty"><p>{{_('A call to the name or number of a group rings at its members, all at once or in turn.')}}</p></div>
% else:
<div class="card">
<table class="cards-when-narrow" aria-label="{{_('Groups')}}">
<thead><tr><th scope="col">{{_('Name')}}</th>\\
% if has_realms:
<th scope="col">{{_('Realm')}}</th>\\
% end
<th scope="col">{{_('Members')}}</th><th scope="col">{{_('Rings')}}</th><th scope="col">{{_('Then')}}</th></tr></thead>
<tbody>
% for group in rows:
<tr>
<td data-label="{{_('Name')}}"><a href="/groups/{{group.id}}">{{group.name}}</a></td>
% if has_realms:
<td data-label="{{_('Realm')}}" class="small dim">{{group.realm or main_realm}}</td>
% end
<td data-label="{{_('Members')}}">{{some_of(group.members[:some_members], len(group.members)) or _('none')}}</td>
<td data-label="{{_('Rings')}}" class="whole">{{(_('all at once, {seconds} s') if group.strategy == 'all' else _('in turn, {seconds} s each')).format(seconds=group.seconds)}}</td>
<td data-label="{{_('Then')}}">{{group.then or _('the call ends')}}</td>
</tr>
% end
</tbody>
</table>
</div>
% include('pager.tpl', pager=pager)
% end
