% rebase('layout.tpl', title='Your account')
<div class="head"><h1>Your account</h1><p class="dim">{{session.username}}, role {{session.role}}</p></div>
% if is_required and not own.has_second_factor:
<div class="notice bad" role="alert"><p><strong>This server requires a second factor.</strong> <a href="/account/second-factor">Set it up</a> to open the other pages.</p></div>
% end
<section class="card" aria-labelledby="sessions-title">
<header>
<h2 id="sessions-title">Signed-in browsers</h2>
<span class="sp"></span>
% if len(sessions) > 1:
<form class="inline" method="post" action="/account/sessions/end"><button class="s">End all others</button></form>
% end
</header>
<table class="cards-when-narrow">
<thead><tr><th scope="col">Browser</th><th scope="col">Signed in</th><th scope="col">From</th><th scope="col">Last seen</th><th scope="col">Ends in</th><th scope="col"><span class="visually-hidden">Action</span></th></tr></thead>
<tbody>
% for each in sessions:
% is_own = each.id == session.id
% browser = browser_of(each.user_agent)
<tr>
<td data-label="Browser"><span title="{{each.user_agent}}">{{browser}}</span></td>
<td data-label="Signed in" class="whole"><time datetime="{{moment(each.created_at)}}" title="{{moment(each.created_at)}}">{{ago(each.created_at, now)}}</time></td>
<td data-label="From" class="whole"><span class="mono">{{each.address}}</span></td>
<td data-label="Last seen"><span><time datetime="{{moment(each.seen_at)}}" title="{{moment(each.seen_at)}}">{{'now' if is_own else ago(each.seen_at, now)}}</time>\\
% if each.seen_from != each.address:
, from <span class="mono">{{each.seen_from}}</span>\\
% end
</span></td>
<td data-label="Ends in" class="whole">{{span(each.expires_at - now)}}</td>
<td data-label="">\\
% if is_own:
<span class="pill on">this browser</span>\\
% else:
<form class="inline" method="post" action="/account/sessions/{{each.id}}/end"><button class="s" aria-label="End the session of {{browser}}, from {{each.address}}">End</button></form>\\
% end
</td>
</tr>
% end
</tbody>
</table>
<p class="body small dim">The <a href="/audit">audit</a> lists all actions, with their addresses. Programs use the <a href="/api">API</a>.</p>
</section>
<section class="card" aria-labelledby="factor-title">
<header><h2 id="factor-title">Second factor</h2></header>
<div class="body">
% if own.has_second_factor:
<p>The second factor is <strong>on</strong>: the sign-in asks for a code of your authenticator app. {{own.recovery_codes}} recovery codes are left.</p>
<p><a class="btn" href="/account/recovery-codes/new" role="button">New recovery codes</a></p>
% if not is_required:
<p><a class="btn" href="/account/second-factor" role="button">Turn it off</a></p>
% end
% else:
<p>The second factor is <strong>off</strong>. With it, a stolen password alone does not open these pages: the sign-in also asks for a code that an app on your phone shows.</p>
<p><a class="btn" href="/account/second-factor" role="button">Set it up</a></p>
% end
</div>
</section>
<section class="card" aria-labelledby="theme-title">
<header><h2 id="theme-title">Theme</h2></header>
<div class="body">
<form method="post" action="/theme" class="row" aria-labelledby="theme-title">
% for each in themes:
<button name="theme" value="{{each}}"\
% if each == theme:
 aria-pressed="true"\
% end
>{{each.capitalize()}}</button>
% end
</form>
</div>
</section>
<section class="card form">
<header><h2>Change your password</h2></header>
<div class="body">
<p class="small dim">This signs out all other browsers.</p>
% if from_environment:
<div class="notice hint"><p><code>SIPSERVER_ADMIN_PASSWORD</code> is set: each start of the server sets the password to its value. Change it there, too.</p></div>
% end
<form method="post" action="/account/password">
<input hidden type="text" name="username" value="{{session.username}}" autocomplete="username" readonly>
% for name, label, fill in (('current', 'Present password', 'current-password'), ('password', 'New password', 'new-password'), ('again', 'New password, once more', 'new-password')):
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
<button class="p">Change</button>
</form>
</div>
</section>
