% rebase('layout.tpl', title='Users')
% has_realms = len(realms) > 1
% columns = [('username', 'User name', ''), ('display_name', 'Display name', ''), ('', 'State', ''), ('', 'Device', 'hide-m')]
% columns += [('', 'Realm', '')] * has_realms + [('last_seen', 'Last seen', ''), ('', 'HA1', 'r')]
<div class="head">
<h1>Users</h1>
<p id="count" class="dim num" role="status">
% if not found.entries:
{{'No user matches.' if question.search or question.status or question.realm else 'There are no users yet.'}}
% else:
{{'{:,}'.format(found.total)}}{{'+' if found.more else ''}} {{'user' if found.total == 1 else 'users'}}\\
% if found.pages > 1:
, page {{found.page}} of {{'{:,}'.format(found.pages)}}\\
% end
% end
</p>
<span class="sp"></span>
<a class="btn" href="/users/import" role="button">Import</a>
<a id="export" class="btn hide-m" href="/users/export.csv{{list_query}}" role="button" download>Export CSV</a>
<a class="btn p" href="/users/new{{list_query}}" role="button">Add a user</a>
</div>
% if removed:
<div class="notice hint" role="status">
<p>{{removed.username}} was deleted.</p>
<form class="inline" method="post" action="/users/{{removed.id}}/restore{{list_query}}"><button class="s">Undo</button></form>
</div>
% end
<form class="row" aria-label="Find users" action="/users" method="get"
 hx-get="/users" hx-trigger="submit, change, input changed delay:250ms from:#q"
 hx-target="#results" hx-select="#results" hx-select-oob="#count:innerHTML,#export:outerHTML" hx-swap="outerHTML" hx-push-url="true" hx-sync="this:replace">
<label class="search">Search
<input id="q" name="q" type="search" value="{{question.search}}" placeholder="Name or display name" autocomplete="off" spellcheck="false" maxlength="100"><kbd class="hide-m" aria-hidden="true">/</kbd>
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
<button>Search</button>
</form>
<section id="results" aria-label="Users found">
% if not found.entries:
<div class="card empty">
% if question.search or question.status or question.realm:
<p><a href="/users">Show all users</a></p>
% else:
<p><a href="/users/new">Add the first one</a>, or <a href="/users/import">import a list</a>.</p>
% end
</div>
% else:
<div class="card">
<table aria-label="Users">
<thead>
<tr>
% for column, word, style in columns:
% if not column:
<th scope="col" class="{{style}}">{{word}}</th>
% else:
% active = question.sort == column
% down = (not question.descending) if active else sorts[column]
<th scope="col" class="{{style}}"\\
% if active:
 aria-sort="{{'descending' if question.descending else 'ascending'}}"\\
% end
><a href="{{link_to(sort='' if column == 'username' else column, order='desc' if down else '')}}">{{word}}\\
% if active:
 <span aria-hidden="true">{{'↓' if question.descending else '↑'}}</span>\\
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
<td data-label="User name"><div class="who"><span class="av" data-av="{{initials(user.display_name or user.username)}}"></span><a href="/users/{{user.id}}{{list_query}}">{{user.username}}</a></div></td>
<td data-label="Display name" class="dim">{{user.display_name}}</td>
<td data-label="State">\\
% include('state.tpl', user=user)
% if user.username in blocked:
 <span class="pill bad">login blocked</span>\\
% end
</td>
<td data-label="Device" class="hide-m">\\
% if phone:
{{phone.user_agent or 'unknown'}}\\
% if len(user.contacts) > 1:
 <span class="dim">and {{len(user.contacts) - 1}} more</span>\\
% end
<div class="mono dim">{{phone.address}}</div>\\
% end
</td>
% if has_realms:
<td data-label="Realm" class="small dim{{' whole' if len(user.realm) < 25 else ''}}">{{user.realm}}</td>
% end
<td data-label="Last seen" class="small dim whole">\\
% if user.last_seen:
<time datetime="{{moment(user.last_seen)}}" title="{{moment(user.last_seen)}}">{{ago(user.last_seen, now)}}</time>\\
% else:
never\\
% end
</td>
<td data-label="HA1" class="small r whole"><a href="/users/{{user.id}}/hashes{{list_query}}" hx-get="/users/{{user.id}}/hashes" hx-target="#shown" hx-select="#hashes" hx-swap="innerHTML" aria-label="Show the HA1s of {{user.username}}">•••• show</a></td>
</tr>
% end
</tbody>
</table>
</div>
% include('pager.tpl', pager=pager)
<p class="small dim"><a href="/users/export.csv{{list_query}}{{'&' if list_query else '?'}}hashes=yes" download>Export with HA1s</a>, to import them into another server. Keep that file as secret as the passwords.</p>
% end
</section>
% include('dialog.tpl')
