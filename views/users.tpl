% rebase('layout.tpl', title='Users')
% has_realms = len(realms) > 1
% shown = {name for name in shown_columns if (name != 'realm' or has_realms) and (name != 'ha1' or can_change)}
% heads = [(name, word) for name, word in columns.items() if name in shown]
% styles = {'device': 'hide-m', 'address': 'hide-m', 'ha1': 'r'}
% is_filtered = question.search or question.status or question.realm
<div class="head">
<h1>Users</h1>
<p id="count" class="dim num" role="status">
% if not found.entries:
{{'No user matches.' if is_filtered else 'There are no users yet.'}}
% else:
{{'{:,}'.format(found.total)}}{{'+' if found.more else ''}} {{'user' if found.total == 1 else 'users'}}\\
% if found.pages > 1:
, page {{found.page}} of {{'{:,}'.format(found.pages)}}\\
% end
% end
</p>
<span class="sp"></span>
% if can_change:
<a class="btn" href="/users/import" role="button">Import</a>
% end
<a id="export" class="btn hide-m" href="/users/export.csv{{list_query}}" role="button" download>Export CSV</a>
% if can_change:
<a class="btn p" href="/users/new{{list_query}}" role="button">Add a user</a>
% end
</div>
% if removed and can_change:
<div class="notice hint" role="status">
<p>{{removed.username}} was deleted.</p>
<form class="inline" method="post" action="/users/{{removed.id}}/restore{{list_query}}"><button class="s">Undo</button></form>
</div>
% end
% if undo:
% include('undo_banner.tpl', step=undo)
% end
<form class="row" aria-label="Find users" action="/users" method="get"
 hx-get="/users" hx-trigger="submit, change, input changed delay:250ms from:#q"
 hx-target="#results" hx-select="#results" hx-select-oob="#count:innerHTML,#export:outerHTML" hx-swap="outerHTML" hx-push-url="true" hx-sync="this:replace">
<label class="search">Search
<input id="q" name="q" type="search" value="{{question.search}}" placeholder="Name, alias, device or address" autocomplete="off" spellcheck="false" maxlength="100"><kbd class="hide-m" aria-hidden="true">/</kbd>
</label>
% if question.status:
<input type="hidden" name="status" value="{{question.status}}">
% end
% if has_realms:
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
<nav class="chips" aria-label="State">
% for state, word, number in chips:
<a class="chip" href="{{link_to(status=state)}}" aria-current="{{'page' if state == question.status else 'false'}}">{{word}} <b class="num" id="number-{{state or 'all'}}">{{'{:,}'.format(number)}}</b></a>
% end
</nav>
% if not found.entries:
<div class="card empty">
% if is_filtered:
<p><a href="/users">Show all users</a></p>
% elif can_change:
<p><a href="/users/new">Add the first one</a>, or <a href="/users/import">import a list</a>.</p>
% end
</div>
% else:
% if can_change:
<form method="post" action="/users/act{{list_query}}" aria-label="Change users" autocomplete="off" hx-post="/users/choose{{list_query}}" hx-trigger="change" hx-target="#chosen" hx-swap="outerHTML" hx-sync="this:replace">
<input type="hidden" name="total" value="{{found.total}}">
% include('users_chosen.tpl', chosen=len(chosen), total=found.total)
% end
<div class="card">
<table class="users" aria-label="Users">
<thead>
<tr>
% if can_change:
<th scope="col" class="tick"><input type="checkbox" data-tick-all aria-label="Choose all on this page"><span class="visually-hidden">Choose</span></th>
% end
% for column, word in [('username', 'User name'), *heads]:
% style = styles.get(column, '')
% if column not in sorts:
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
<tbody id="rows" hx-get="{{link_to(page=found.page)}}" hx-trigger="every 10s" hx-select="#rows" hx-select-oob="{{','.join('#number-{}:innerHTML'.format(state or 'all') for state, _, _ in chips)}},#count:innerHTML" hx-target="this" hx-swap="outerMorph">
% for user in found.entries:
% phone = user.contacts[0] if user.contacts else None
<tr id="user-{{user.id}}">
% if can_change:
<td class="tick">\\
% if user is found.entries[0]:
<input type="hidden" name="shown" value="{{','.join(str(each.id) for each in found.entries)}}">\\
% end
<input type="checkbox" name="id" value="{{user.id}}" aria-label="Choose {{user.username}}"{{' checked' if user.id in chosen else ''}}></td>
% end
<td data-label="User name"><div class="who"><span class="av" data-av="{{initials(user.display_name or user.username)}}"></span><a href="/users/{{user.id}}{{list_query}}">{{user.username}}</a></div></td>
% if 'display_name' in shown:
<td data-label="Display name" class="dim">{{user.display_name}}</td>
% end
% if 'state' in shown:
<td data-label="State">\\
% include('state.tpl', user=user)
% if user.username in blocked:
 <span class="pill bad">login blocked</span>\\
% elif user.id in trouble:
 <span class="pill bad">trouble</span>\\
% end
</td>
% end
% if 'device' in shown:
<td data-label="Device" class="hide-m">\\
% if phone:
{{phone.user_agent or 'unknown'}}\\
% if len(user.contacts) > 1:
 <span class="dim">and {{len(user.contacts) - 1}} more</span>\\
% end
% end
</td>
% end
% if 'address' in shown:
<td data-label="Address" class="hide-m mono dim{{' whole' if phone and len(phone.address) < 22 else ''}}">{{phone.address if phone else ''}}</td>
% end
% if 'realm' in shown:
<td data-label="Realm" class="small dim{{' whole' if len(user.realm) < 25 else ''}}">{{user.realm}}</td>
% end
% if 'last_seen' in shown:
<td data-label="Last seen" class="small dim whole">\\
% if user.last_seen:
<time datetime="{{moment(user.last_seen)}}" title="{{moment(user.last_seen)}}">{{ago(user.last_seen, now)}}</time>\\
% else:
never\\
% end
</td>
% end
% if 'ha1' in shown:
<td data-label="HA1" class="small r whole"><a href="/users/{{user.id}}/hashes{{list_query}}" hx-get="/users/{{user.id}}/hashes" hx-target="#shown" hx-select="#hashes" hx-swap="innerHTML" aria-label="Show the HA1s of {{user.username}}">•••• show</a></td>
% end
</tr>
% end
</tbody>
</table>
</div>
% if can_change:
</form>
% end
% include('pager.tpl', pager=pager)
<div class="row">
<details>
<summary>Columns</summary>
<form method="post" action="/users/columns{{list_query}}">
<fieldset class="row">
<legend class="visually-hidden">Columns of the list</legend>
% for name, word in columns.items():
% if name != 'realm' or has_realms:
<label><input type="checkbox" name="column" value="{{name}}"{{' checked' if name in shown_columns else ''}}> {{word}}</label>
% end
% end
% if not has_realms and 'realm' in shown_columns:
<input type="hidden" name="column" value="realm">
% end
<button class="s">Show these columns</button>
</fieldset>
</form>
</details>
% if steps:
<p><a href="/users/undo{{list_query}}">Recent changes</a></p>
% end
</div>
% if can_change:
<p class="small dim"><a href="/users/export.csv{{list_query}}{{'&' if list_query else '?'}}hashes=yes" download>Export with HA1s</a>, to import them into another server. Keep that file as secret as the passwords.</p>
% end
% end
</section>
% include('dialog.tpl')
