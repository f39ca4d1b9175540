% rebase('layout.tpl', title=_('Users'))
% has_realms = len(realms) > 1
% shown = {name for name in shown_columns if (name != 'realm' or has_realms) and (name != 'ha1' or can_change)}
% heads = [(name, _(word)) for name, word in columns.items() if name in shown]
% styles = {'device': 'hide-m', 'address': 'hide-m', 'ha1': 'r'}
% is_filtered = question.search or question.status or question.realm
<div class="head">
<h1>{{_('Users')}}</h1>
<p id="count" class="dim num" role="status">
% if not found.entries:
{{_('No user matches.') if is_filtered else _('There are no users yet.')}}
% else:
% total = thousands(found.total) + ('+' if found.more else '')
{{ngettext('{count} user', '{count} users', found.total).format(count=total)}}\\
% if found.pages > 1:
, {{_('page {page} of {pages}').format(page=thousands(found.page), pages=thousands(found.pages))}}\\
% end
% end
</p>
<span class="sp"></span>
% if can_change:
<a class="btn" href="/users/import" role="button">{{_('Import')}}</a>
% end
<a id="export" class="btn hide-m" href="/users/export.csv{{list_query}}" role="button" download>{{_('Export CSV')}}</a>
% if can_change:
<a class="btn p" href="/users/new{{list_query}}" role="button">{{_('Add a user')}}</a>
% end
</div>
% if removed and can_change:
<div class="notice hint" role="status">
<p>{{_('{name} was deleted.').format(name=removed.username)}}</p>
<form class="inline" method="post" action="/users/{{removed.id}}/restore{{list_query}}"><button class="s">{{_('Undo')}}</button></form>
</div>
% end
% if undo:
% include('undo_banner.tpl', step=undo)
% end
<form class="row" aria-label="{{_('Find users')}}" action="/users" method="get"
 hx-get="/users" hx-trigger="submit, change, input changed delay:250ms from:#q"
 hx-target="#results" hx-select="#results" hx-select-oob="#count:innerHTML,#export:outerHTML" hx-swap="outerHTML" hx-push-url="true" hx-sync="this:replace">
<label class="search">{{_('Search')}}
<input id="q" name="q" type="search" value="{{question.search}}" placeholder="{{_('Name, alias, device or address')}}" autocomplete="off" spellcheck="false" maxlength="100"><kbd class="hide-m" aria-hidden="true">/</kbd>
</label>
% if question.status:
<input type="hidden" name="status" value="{{question.status}}">
% end
% if has_realms:
<label>{{_('Realm')}}
<select name="realm">
<option value="">{{_('Any')}}</option>
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
<button>{{_('Search')}}</button>
</form>
<section id="results" aria-label="{{_('Users found')}}">
<nav class="chips" aria-label="{{_('State')}}">
% for state, word, users in chips:
<a class="chip" href="{{link_to(status=state)}}" aria-current="{{'page' if state == question.status else 'false'}}">{{word}} <b class="num" id="number-{{state or 'all'}}">{{thousands(users)}}</b></a>
% end
</nav>
% if not found.entries:
<div class="card empty">
% if is_filtered:
<p><a href="/users">{{_('Show all users')}}</a></p>
% elif can_change:
<p>{{rich(_('<add>Add the first one</add>, or <list>import a list</list>.'), {'add': '/users/new', 'list': '/users/import'})}}</p>
% end
</div>
% else:
% if can_change:
<form method="post" action="/users/act{{list_query}}" aria-label="{{_('Change users')}}" autocomplete="off" hx-post="/users/choose{{list_query}}" hx-trigger="change" hx-target="#chosen" hx-swap="outerHTML" hx-sync="this:replace">
<input type="hidden" name="total" value="{{found.total}}">
% include('users_chosen.tpl', chosen=len(chosen), total=found.total)
% end
<div class="card">
<table class="users" aria-label="{{_('Users')}}">
<thead>
<tr>
% if can_change:
<th scope="col" class="tick"><input type="checkbox" data-tick-all aria-label="{{_('Choose all on this page')}}"><span class="visually-hidden">{{_('Choose')}}</span></th>
% end
% for column, word in [('username', _('User name')), *heads]:
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
% never, show, show_of, choose = _('never'), _('•••• show'), _('Show the HA1s of {name}'), _('Choose {name}')
% label_address, label_device, label_display_name, label_last_seen, label_realm, label_state, label_user_name = _('Address'), _('Device'), _('Display name'), _('Last seen'), _('Realm'), _('State'), _('User name')
% for user in found.entries:
% phone = user.contacts[0] if user.contacts else None
<tr id="user-{{user.id}}">
% if can_change:
<td class="tick">\\
% if user is found.entries[0]:
<input type="hidden" name="shown" value="{{','.join(str(each.id) for each in found.entries)}}">\\
% end
<input type="checkbox" name="id" value="{{user.id}}" aria-label="{{choose.format(name=user.username)}}"{{' checked' if user.id in chosen else ''}}></td>
% end
<td data-label="{{label_user_name}}" data-column="username"><div class="who"><span class="av" data-av="{{initials(user.display_name or user.username)}}"></span><a href="/users/{{user.id}}{{list_query}}">{{user.username}}</a></div></td>
% if 'display_name' in shown:
<td data-label="{{label_display_name}}" data-column="display_name" class="dim">{{user.display_name}}</td>
% end
% if 'state' in shown:
<td data-label="{{label_state}}" data-column="state">\\
% include('state.tpl', user=user)
% if user.username in blocked:
 <span class="pill bad">{{_('login blocked')}}</span>\\
% elif user.id in trouble:
 <span class="pill bad">{{_('trouble')}}</span>\\
% end
</td>
% end
% if 'device' in shown:
<td data-label="{{label_device}}" data-column="device" class="hide-m">\\
% if phone:
{{phone.user_agent or _('unknown')}}\\
% if len(user.contacts) > 1:
 <span class="dim">{{_('and {count} more').format(count=len(user.contacts) - 1)}}</span>\\
% end
% end
</td>
% end
% if 'address' in shown:
<td data-label="{{label_address}}" class="hide-m mono dim{{' whole' if phone and len(phone.address) < 22 else ''}}">{{phone.address if phone else ''}}</td>
% end
% if 'realm' in shown:
<td data-label="{{label_realm}}" data-column="realm" class="small dim{{' whole' if len(user.realm) < 25 else ''}}">{{user.realm}}</td>
% end
% if 'last_seen' in shown:
<td data-label="{{label_last_seen}}" data-column="last_seen" class="small dim whole">\\
% if user.last_seen:
<time datetime="{{moment(user.last_seen)}}" title="{{moment(user.last_seen)}}">{{ago(user.last_seen, now)}}</time>\\
% else:
{{never}}\\
% end
</td>
% end
% if 'ha1' in shown:
<td data-label="HA1" data-column="ha1" class="small r whole"><a href="/users/{{user.id}}/hashes{{list_query}}" hx-get="/users/{{user.id}}/hashes" hx-target="#shown" hx-select="#hashes" hx-swap="innerHTML" aria-label="{{show_of.format(name=user.username)}}">{{show}}</a></td>
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
<summary>{{_('Columns')}}</summary>
<form method="post" action="/users/columns{{list_query}}">
<fieldset class="row">
<legend class="visually-hidden">{{_('Columns of the list')}}</legend>
% for name, word in columns.items():
% if name != 'realm' or has_realms:
<label><input type="checkbox" name="column" value="{{name}}"{{' checked' if name in shown_columns else ''}}> {{_(word)}}</label>
% end
% end
% if not has_realms and 'realm' in shown_columns:
<input type="hidden" name="column" value="realm">
% end
<button class="s">{{_('Show these columns')}}</button>
</fieldset>
</form>
</details>
% if steps:
<p><a href="/users/undo{{list_query}}">{{_('Recent changes')}}</a></p>
% end
</div>
% if can_change:
<p class="small dim"><a href="/users/export.csv{{list_query}}{{'&' if list_query else '?'}}hashes=yes" download>{{_('Export with HA1s')}}</a>{{_(', to import them into another server. Keep that file as secret as the passwords.')}}</p>
% end
% end
</section>
% include('dialog.tpl')
