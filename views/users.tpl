% rebase('layout.tpl', title='Users')
<div class="row spread">
<h1>Users</h1>
<div class="row">
<a href="/users/new{{list_query}}" role="button">Add a user</a>
<a href="/users/import" role="button" class="secondary outline">Import</a>
<a href="/users/export.csv" role="button" class="secondary outline" download>Export CSV</a>
</div>
</div>
% if removed:
<div class="notice hint row" role="status">
<span>{{removed.username}} was deleted.</span>
<form class="inline" method="post" action="/users/{{removed.id}}/restore{{list_query}}"><button class="small">Undo</button></form>
</div>
% end
<form class="row" aria-label="Find users" action="/users" method="get"
 hx-get="/users" hx-trigger="submit, change, input changed delay:250ms from:#q"
 hx-target="#results" hx-select="#results" hx-select-oob="#count:innerHTML" hx-swap="outerHTML" hx-push-url="true" hx-sync="this:replace">
<label class="grow">Search
<input id="q" name="q" type="search" value="{{question.search}}" placeholder="Name or display name" autocomplete="off" spellcheck="false" maxlength="100">
</label>
<label>State
<select name="status">
% for value, word in (('', 'Any'), ('online', 'Online'), ('offline', 'Offline'), ('disabled', 'Disabled')):
<option value="{{value}}"{{' selected' if value == question.status else ''}}>{{word}}</option>
% end
</select>
</label>
% if len(realms) > 1:
<label>Realm
<select name="realm">
<option value="">Any</option>
% for realm in realms:
<option{{' selected' if realm == question.realm else ''}}>{{realm}}</option>
% end
</select>
</label>
% end
% if question.sort != 'username':
<input type="hidden" name="sort" value="{{question.sort}}">
% end
% if question.descending:
<input type="hidden" name="order" value="desc">
% end
<button class="secondary">Search</button>
</form>
<p id="count" class="muted" role="status">
% if not found.entries:
{{'No user matches.' if question.search or question.status or question.realm else 'There are no users yet.'}}
% else:
{{'{:,}'.format(found.total)}}{{'+' if found.more else ''}} {{'user' if found.total == 1 else 'users'}}\\
% if found.pages > 1:
, page {{found.page}} of {{'{:,}'.format(found.pages)}}\\
% end
% end
</p>
<section id="results" aria-label="Users found">
% if not found.entries:
<div class="empty">
% if question.search or question.status or question.realm:
<p><a href="/users">Show all users</a></p>
% else:
<p><a href="/users/new">Add the first one</a>, or <a href="/users/import">import a list</a>.</p>
% end
</div>
% else:
<table class="cards-when-narrow" aria-label="Users">
<thead>
<tr>
<th scope="col">State</th>
% for column, word in (('username', 'User name'), ('', 'Realm'), ('display_name', 'Display name'), ('', 'Device'), ('', 'Address'), ('last_seen', 'Last seen'), ('', 'HA1')):
% if not column:
<th scope="col">{{word}}</th>
% else:
% active = question.sort == column
% down = (not question.descending) if active else sorts[column]
<th scope="col"\\
% if active:
 aria-sort="{{'descending' if question.descending else 'ascending'}}"\\
% end
><a href="{{link_to(sort='' if column == 'username' else column, order='desc' if down else '')}}">{{word}}\\
% if active:
 <span aria-hidden="true">{{'▼' if question.descending else '▲'}}</span>\\
% end
</a></th>
% end
% end
</tr>
</thead>
<tbody id="rows" hx-get="{{link_to(page=found.page)}}" hx-trigger="every 10s" hx-select="#rows" hx-select-oob="#count:innerHTML" hx-target="this" hx-swap="outerMorph">
% for user in found.entries:
% phone = user.contacts[0] if user.contacts else None
<tr id="user-{{user.id}}">
<td data-label="State"><span>\\
% include('state.tpl', user=user)
% if user.username in blocked:
<br><span class="state blocked">login blocked</span>\\
% end
</span></td>
<td data-label="User name"><a href="/users/{{user.id}}{{list_query}}">{{user.username}}</a></td>
<td data-label="Realm">{{user.realm}}</td>
<td data-label="Display name">{{user.display_name}}</td>
<td data-label="Device">\\
% if phone:
<span>{{phone.user_agent or 'unknown'}}\\
% if len(user.contacts) > 1:
 <span class="muted">and {{len(user.contacts) - 1}} more</span>\\
% end
</span>\\
% end
</td>
<td data-label="Address" class="whole">\\
% if phone:
<span class="mono">{{phone.address}}</span>\\
% end
</td>
<td data-label="Last seen" class="whole">\\
% if user.last_seen:
<time datetime="{{moment(user.last_seen)}}" title="{{moment(user.last_seen)}}">{{ago(user.last_seen, now)}}</time>\\
% else:
never\\
% end
</td>
<td data-label="HA1" class="whole"><a href="/users/{{user.id}}/hashes{{list_query}}" hx-get="/users/{{user.id}}/hashes" hx-target="#shown" hx-select="#hashes" hx-swap="innerHTML" aria-label="Show the HA1s of {{user.username}}">•••• show</a></td>
</tr>
% end
</tbody>
</table>
% if found.pages > 1:
<nav class="pager" aria-label="Pages">
<ul>
% if found.page > 1:
<li><a href="{{link_to()}}">First</a></li>
<li><a href="{{link_to(page=found.page - 1)}}" rel="prev">Previous</a></li>
% end
% if found.page < found.pages:
<li><a href="{{link_to(page=found.page + 1)}}" rel="next">Next</a></li>
<li><a href="{{link_to(page=found.pages)}}">Last</a></li>
% end
</ul>
</nav>
% end
<p class="muted"><a href="/users/export.csv?hashes=yes" download>Export with HA1s</a>, to import them into another server. Keep that file as secret as the passwords.</p>
% end
</section>
% include('dialog.tpl')
