% rebase('layout.tpl', title=user.username)
% setdefault('how', 'make')
% setdefault('display_name', user.display_name)
<p><a href="/users{{list_query}}">{{'Back to the list' if is_filtered else 'Back to all users'}}</a></p>
<div class="row spread">
<h1>{{user.username}}</h1>
<span id="state">\\
% include('state.tpl', user=user)
% if blocked:
 <span class="state blocked">login blocked</span>\\
% end
</span>
</div>
<div id="contacts" hx-get="/users/{{user.id}}{{list_query}}" hx-trigger="every 5s" hx-select="#contacts" hx-select-oob="#state,#acts" hx-target="this" hx-swap="outerMorph">
<h2>Phones</h2>
% include('user_call.tpl', user=user, list_query=list_query)
% if not user.contacts:
<article class="panel empty">
<p>\\
% if not user.enabled:
This user is disabled: its phones are refused.\\
% elif user.last_seen:
No phone is registered. The last one was seen {{ago(user.last_seen, now)}}.\\
% else:
No phone has registered yet. The settings for a phone are below.\\
% end
</p>
</article>
% else:
<table class="cards-when-narrow">
<thead><tr><th scope="col">Device</th><th scope="col">Contact</th><th scope="col">Seen at</th><th scope="col">Expires in</th><th scope="col"><span class="muted">Action</span></th></tr></thead>
<tbody>
% for phone in user.contacts:
<tr id="phone-{{phone.key}}">
<td data-label="Device">{{phone.user_agent or 'unknown'}}</td>
<td data-label="Contact"><span class="mono">{{phone.shown}}</span></td>
<td data-label="Seen at"><span><span class="mono">{{phone.transport}} {{phone.address}}</span>{{', behind NAT' if phone.behind_nat else ''}}{{', through a proxy' if phone.path else ''}}</span></td>
<td data-label="Expires in"><time data-left="{{max(0, round(phone.expires_at - now))}}" title="{{moment(phone.expires_at)}}">{{span(phone.expires_at - now)}}</time></td>
<td data-label=""><form class="inline" method="post" action="/users/{{user.id}}/drop{{list_query}}"><input type="hidden" name="contact" value="{{phone.key}}"><button class="small secondary outline">Drop</button></form></td>
</tr>
% end
</tbody>
</table>
% end
% if blocked:
<h2>Blocked logins</h2>
<p>Too many wrong passwords came from these addresses. A new password unblocks the user, too.</p>
% include('blocked_logins.tpl', rows=blocked, action='/users/{}/forgive{}'.format(user.id, list_query))
% end
% include('user_calls.tpl')
% if refusals:
<h2>Recently refused</h2>
% include('refusals.tpl', rows=refusals, label='Refused registrations and calls of this user, the latest first')
% end
</div>
<div class="cards wide">
<article>
<h2>Settings for a phone</h2>
% include('phone.tpl', settings=settings)
</article>
<article>
<h2>Display name</h2>
<form method="post" action="/users/{{user.id}}/name{{list_query}}">
<input name="display_name" value="{{display_name}}" aria-label="Display name" maxlength="128" autocomplete="off"\\
% if 'display_name' in errors:
 aria-invalid="true" aria-describedby="display_name-error"\\
% end
>
% if 'display_name' in errors:
<p class="field-error" id="display_name-error">{{errors['display_name']}}</p>
% end
<button class="secondary">Save</button>
</form>
</article>
<article>
<h2>Change the password</h2>
<form method="post" action="/users/{{user.id}}/password{{list_query}}">
<input hidden type="text" name="username" value="{{user.username}}" autocomplete="username" readonly>
% include('password.tpl', errors=errors, how=how)
<button class="secondary">Change</button>
</form>
</article>
<article>
<h2>This account</h2>
<dl class="settings">
<dt>Realm</dt><dd>{{user.realm}}</dd>
<dt>Added</dt><dd><time datetime="{{moment(user.created_at)}}">{{moment(user.created_at)[:10]}}</time></dd>
<dt>Last seen</dt><dd>{{ago(user.last_seen, now)}}</dd>
<dt>HA1</dt><dd><a href="/users/{{user.id}}/hashes{{list_query}}" hx-get="/users/{{user.id}}/hashes" hx-target="#shown" hx-select="#hashes" hx-swap="innerHTML" aria-label="Show the HA1s of {{user.username}}">•••• show</a></dd>
</dl>
<div class="row" id="acts">
% if user.enabled:
<form class="inline" method="post" action="/users/{{user.id}}/disable{{list_query}}"><button class="secondary outline">Disable</button></form>
% else:
<form class="inline" method="post" action="/users/{{user.id}}/enable{{list_query}}"><button>Enable</button></form>
% end
<form class="inline" method="post" action="/users/{{user.id}}/remove{{list_query}}"><button class="danger">Delete</button></form>
</div>
</article>
</div>
% include('dialog.tpl')
