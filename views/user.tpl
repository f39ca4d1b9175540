% rebase('layout.tpl', title=user.display_name or user.username)
% setdefault('how', 'make')
% setdefault('display_name', user.display_name)
<p class="small"><a href="/users{{list_query}}">{{_('Back to the list') if is_filtered else _('Back to all users')}}</a></p>
<div class="head">
<span class="av l" data-av="{{initials(user.display_name or user.username)}}" aria-hidden="true"></span>
<div>
<h1>{{user.display_name or user.username}}</h1>
<p class="mono dim">{{user.username}}@{{user.realm}}</p>
</div>
<span id="state">\\
% include('state.tpl', user=user)
% if blocked:
 <span class="pill bad">{{_('login blocked')}}</span>\\
% end
</span>
<span class="sp"></span>
<div class="row" id="acts">
% include('user_call.tpl', user=user, list_query=list_query)
% if can_change:
% if user.enabled:
<a class="btn" href="{{browser_phone_link(user.username, user.realm)}}">{{_('Phone in the browser')}}</a>
% end
<a class="btn" href="#new-password">{{_('New password')}}</a>
% if user.enabled:
<form class="inline" method="post" action="/users/{{user.id}}/disable{{list_query}}"><button>{{_('Disable')}}</button></form>
% else:
<form class="inline" method="post" action="/users/{{user.id}}/enable{{list_query}}"><button class="p">{{_('Enable')}}</button></form>
% end
<form class="inline" method="post" action="/users/{{user.id}}/remove{{list_query}}"><button class="d">{{_('Delete')}}</button></form>
% end
</div>
</div>
<div id="banners">
% for banner in banners:
% include('user_banner.tpl', banner=banner)
% end
</div>
<div class="two">
<div id="contacts" class="stack" hx-get="/users/{{user.id}}{{list_query}}" hx-trigger="every 5s" hx-select="#contacts" hx-select-oob="#state:outerMorph,#acts:outerMorph,#banners:outerMorph" hx-target="this" hx-swap="outerMorph">
<section class="card">
<header><h2>{{_('Phones')}}</h2><span class="sp"></span><span class="small dim">{{_('{count} online').format(count=len(user.contacts)) if user.contacts else ''}}</span></header>
% if not user.contacts:
<p class="empty">\\
% if not user.enabled:
{{_('This user is disabled: its phones are refused.')}}\\
% elif user.last_seen:
{{_('No phone is registered. The last one was seen {ago}.').format(ago=ago(user.last_seen, now))}}\\
% else:
{{_('No phone has registered yet. This page has the settings for a phone.')}}\\
% end
</p>
% else:
<table class="cards-when-narrow">
<thead><tr><th scope="col">{{_('Device, and its contact')}}</th><th scope="col">{{_('Seen at')}}</th><th scope="col">{{_('Expires in')}}</th><th scope="col"><span class="visually-hidden">{{_('Action')}}</span></th></tr></thead>
<tbody>
% for phone in user.contacts:
<tr id="phone-{{phone.key}}">
<td data-label="{{_('Device')}}" data-column="device"><strong>{{phone.user_agent or _('unknown')}}</strong><div class="mono dim">{{phone.shown}}</div></td>
<td data-label="{{_('Seen at')}}" data-column="seen"><span class="mono">{{phone.address}}</span><div class="small dim">{{', '.join(filter(None, (phone.transport, _('behind NAT') if phone.behind_nat else '', _('flow {number}').format(number=phone.reg_id) if phone.reg_id else '', _('through a proxy') if phone.path else '')))}}</div></td>
<td data-label="{{_('Expires in')}}" class="whole"><time data-left="{{max(0, round(phone.expires_at - now))}}" title="{{moment(phone.expires_at)}}">{{span(phone.expires_at - now)}}</time></td>
<td data-label="">\\
% if can_change:
<form class="inline" method="post" action="/users/{{user.id}}/drop{{list_query}}"><input type="hidden" name="contact" value="{{phone.key}}"><button class="s" aria-label="{{_('Sign off {device} at {address}').format(device=phone.user_agent or _('the phone'), address=phone.address)}}">{{_('Sign off')}}</button></form>\\
% end
</td>
</tr>
% end
</tbody>
</table>
% end
</section>
% if len(blocked) > len(banners):
<section class="card">
<header><h2>{{_('Blocked logins from other addresses')}}</h2></header>
<p class="body small dim">{{_('Too many wrong passwords came from these addresses. A new password unblocks the user, too.') if can_change else _('Too many wrong passwords came from these addresses.')}}</p>
% include('blocked_logins.tpl', rows=blocked[len(banners):], action='/users/{}/forgive{}'.format(user.id, list_query))
</section>
% end
% include('user_calls.tpl')
% if refusals:
% include('user_refusals.tpl')
% end
</div>
<div class="stack">
<section class="card">
<header><h2>{{_('Settings for a phone')}}</h2></header>
<div class="body">
% include('phone.tpl', settings=settings)
% if can_change:
<p><a class="btn" role="button" href="/users/{{user.id}}/setup{{list_query}}{{'&' if list_query else '?'}}since={{int(now)}}">{{_('Set up a phone')}}</a></p>
% end
</div>
</section>
% if desk.is_on and can_change:
% include('desk_phones.tpl')
% end
% include('user_call_settings.tpl')
% if can_change:
<section class="card">
<header><h2>{{_('Display name')}}</h2></header>
<div class="body">
<form method="post" action="/users/{{user.id}}/name{{list_query}}">
<input name="display_name" value="{{display_name}}" aria-label="{{_('Display name')}}" maxlength="128" autocomplete="off"\\
% if 'display_name' in errors:
 aria-invalid="true" aria-describedby="display_name-error"\\
% end
>
% if 'display_name' in errors:
<p class="field-error" id="display_name-error">{{errors['display_name']}}</p>
% end
<button>{{_('Save')}}</button>
</form>
</div>
</section>
<section class="card" id="new-password">
<header><h2>{{_('New password')}}</h2></header>
<div class="body">
<form method="post" action="/users/{{user.id}}/password{{list_query}}">
<input hidden type="text" name="username" value="{{user.username}}" autocomplete="username" readonly>
% include('password.tpl', errors=errors, how=how)
<button>{{_('Change')}}</button>
</form>
</div>
</section>
% end
<section class="card">
<header><h2>{{_('This account')}}</h2></header>
<dl class="kv body">
<dt>{{_('Realm')}}</dt><dd>{{user.realm}}</dd>
<dt>{{_('Added')}}</dt><dd><time datetime="{{moment(user.created_at)}}" data-show="date">{{date_time(user.created_at).partition(' ')[0]}}</time></dd>
<dt>{{_('Last seen')}}</dt><dd>{{ago(user.last_seen, now)}}</dd>
<dt>{{_('Messages')}}</dt><dd>{{_('kept longer') if is_pinned else _('kept like all others')}}</dd>\\
% if can_change:
<dd class="act"><form class="inline" method="post" action="/traces/pin"><input type="hidden" name="back" value="/users/{{user.id}}"><input type="hidden" name="username" value="{{'' if is_pinned else user.username}}"><button class="s" aria-label="{{(_('Keep like others: messages of {name}') if is_pinned else _('Keep longer: messages of {name}')).format(name=user.username)}}">{{_('Keep like others') if is_pinned else _('Keep longer')}}</button></form></dd>\\
% end

% if can_change:
<dt>HA1</dt><dd><a href="/users/{{user.id}}/hashes{{list_query}}" hx-get="/users/{{user.id}}/hashes" hx-target="#shown" hx-select="#hashes" hx-swap="innerHTML" aria-label="{{_('Show the HA1s of {name}').format(name=user.username)}}">{{_('•••• show')}}</a></dd>
% end
</dl>
</section>
</div>
</div>
% include('dialog.tpl')
