% rebase('layout.tpl', title='Groups')
<div class="head">
<h1>Groups</h1>
<p class="dim num">{{'{:,} {}'.format(number, 'group' if number == 1 else 'groups') if number else 'There are no groups yet.'}}</p>
<span class="sp"></span>
% if get('can_change', True):
<a class="btn p" href="/groups/new" role="button">Add a group</a>
% end
</div>
% if removed[1] and get('can_change', True):
<div class="notice hint" role="status">
<p>The group {{removed[1]}} was deleted.</p>
<form class="inline" method="post" action="/groups/{{removed[0]}}/restore"><button class="s">Undo</button></form>
</div>
% end
% if not rows:
<div class="card empty"><p>A call to the name or number of a group rings at its members, all at once or in turn.</p></div>
% else:
<div class="card">
<table class="cards-when-narrow" aria-label="Groups">
<thead><tr><th scope="col">Name</th>\\
% if has_realms:
<th scope="col">Realm</th>\\
% end
<th scope="col">Members</th><th scope="col">Rings</th><th scope="col">Then</th></tr></thead>
<tbody>
% for group in rows:
<tr>
<td data-label="Name"><a href="/groups/{{group.id}}">{{group.name}}</a></td>
% if has_realms:
<td data-label="Realm" class="small dim">{{group.realm or main_realm}}</td>
% end
<td data-label="Members">{{', '.join(group.members[:some_members]) or 'none'}}{{' and {} more'.format(len(group.members) - some_members) if len(group.members) > some_members else ''}}</td>
<td data-label="Rings" class="whole">{{'all at once, {} s'.format(group.seconds) if group.strategy == 'all' else 'in turn, {} s each'.format(group.seconds)}}</td>
<td data-label="Then">{{group.then or 'the call ends'}}</td>
</tr>
% end
</tbody>
</table>
</div>
% include('pager.tpl', pager=pager)
% end
