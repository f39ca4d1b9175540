% rebase('layout.tpl', title=_('Your account'))
<div class="head"><h1>{{_('Your account')}}</h1><p class="dim">{{_('{name}, role {role}').format(name=session.username, role=session.role)}}</p></div>
% if is_required and not own.has_second_factor:
<div class="notice bad" role="alert"><p>{{rich(_('<strong>This server requires a second factor.</strong> <setup>Set it up</setup> to open the other pages.'), {'setup': '/account/second-factor'})}}</p></div>
% end
<section class="card" aria-labelledby="sessions-title">
<header>
<h2 id="sessions-title">{{_('Signed-in browsers')}}</h2>
<span class="sp"></span>
% if len(sessions) > 1:
<form class="inline" method="post" action="/account/sessions/end"><button class="s">{{_('End all others')}}</button></form>
% end
</header>
<table class="cards-when-narrow">
<thead><tr><th scope="col">{{_('Browser')}}</th><th scope="col">{{_('Signed in')}}</th><th scope="col">{{_('From')}}</th><th scope="col">{{_('Last seen')}}</th><th scope="col">{{_('Ends in')}}</th><th scope="col"><span class="visually-hidden">{{_('Action')}}</span></th></tr></thead>
<tbody>
% for each in sessions:
% is_own = each.id == session.id
% browser = shown_browser(each.user_agent)
<tr>
<td data-label="{{_('Browser')}}"><span title="{{each.user_agent}}">{{browser}}</span></td>
<td data-label="{{_('Signed in')}}" class="whole"><time datetime="{{moment(each.created_at)}}" title="{{moment(each.created_at)}}">{{ago(each.created_at, now)}}</time></td>
<td data-label="{{_('From')}}" data-column="from" class="whole"><span class="mono">{{each.address}}</span></td>
<td data-label="{{_('Last seen')}}"><span><time datetime="{{moment(each.seen_at)}}" title="{{moment(each.seen_at)}}">{{_('now') if is_own else ago(each.seen_at, now)}}</time>\\
% if each.seen_from != each.address:
{{rich(_(', from <mono>{address}</mono>'), address=each.seen_from)}}\\
% end
</span></td>
<td data-label="{{_('Ends in')}}" class="whole">{{span(each.expires_at - now)}}</td>
<td data-label="">\\
% if is_own:
<span class="pill on">{{_('this browser')}}</span>\\
% else:
<form class="inline" method="post" action="/account/sessions/{{each.id}}/end"><button class="s" aria-label="{{_('End the session of {browser}, from {address}').format(browser=browser, address=each.address)}}">{{_('End')}}</button></form>\\
% end
</td>
</tr>
% end
</tbody>
</table>
<p class="body small dim">{{rich(_('The <audit>audit</audit> lists all actions, with their addresses. Programs use the <api>API</api>.'), {'audit': '/audit', 'api': '/api'})}}</p>
</section>
<section class="card" aria-labelledby="factor-title">
<header><h2 id="factor-title">{{_('Second factor')}}</h2></header>
<div class="body">
% if own.has_second_factor:
<p>{{rich(ngettext('The second factor is <strong>on</strong>: the sign-in asks for a code of your authenticator app. {count} recovery code is left.', 'The second factor is <strong>on</strong>: the sign-in asks for a code of your authenticator app. {count} recovery codes are left.', own.recovery_codes), count=own.recovery_codes)}}</p>
% if not is_required:
<p><a class="btn" href="/account/second-factor" role="button">{{_('Turn it off')}}</a></p>
% end
% else:
<p>{{rich(_('The second factor is <strong>off</strong>. With it, a stolen password alone does not open these pages: the sign-in also asks for a code that an app on your phone shows.'))}}</p>
<p><a class="btn" href="/account/second-factor" role="button">{{_('Set it up')}}</a></p>
% end
</div>
</section>
<section class="card" aria-labelledby="theme-title">
<header><h2 id="theme-title">{{_('Theme')}}</h2></header>
<div class="body">
<form method="post" action="/theme" class="row" aria-labelledby="theme-title">
% for each in themes:
<button name="theme" value="{{each}}"\
% if each == theme:
 aria-pressed="true"\
% end
>{{_(theme_names[each]).capitalize()}}</button>
% end
</form>
</div>
</section>
<section class="card form">
<header><h2>{{_('Change your password')}}</h2></header>
<div class="body">
<p class="small dim">{{_('This signs out all other browsers.')}}</p>
% if from_environment:
<div class="notice hint"><p>{{rich(_('<code>SIPSERVER_ADMIN_PASSWORD</code> is set: each start of the server sets the password to its value. Change it there, too.'))}}</p></div>
% end
<form method="post" action="/account/password">
<input hidden type="text" name="username" value="{{session.username}}" autocomplete="username" readonly>
% for name, label, fill in (('current', _('Present password'), 'current-password'), ('password', _('New password'), 'new-password'), ('again', _('New password, once more'), 'new-password')):
<div class="field">
<label for="{{name}}">{{label}}</label>
<input id="{{name}}" name="{{name}}" type="password" autocomplete="{{fill}}" maxlength="1024" required\\
% if name in errors:
 aria-invalid="true" aria-describedby="{{name}}-error" autofocus\\
% end
>
% if name in errors:
<p class="field-error" id="{{name}}-error">{{errors[name]}}</p>
% end
</div>
% end
<button class="p">{{_('Change')}}</button>
</form>
</div>
</section>
