% rebase('layout.tpl', title=_('My phones'))
% def field(name, label, autocomplete):
<div class="field">
<label for="{{name}}">{{label}}</label>
<input id="{{name}}" name="{{name}}" type="password" autocomplete="{{autocomplete}}" maxlength="256" required\\
% if name in errors:
 aria-invalid="true" aria-describedby="{{name}}-error" autofocus\\
% end
>
% if name in errors:
<p class="field-error" id="{{name}}-error">{{errors[name]}}</p>
% end
</div>
% end
<div class="head"><div><h1>{{user.display_name or user.username}}</h1><p class="mono dim">{{user.username}}@{{user.realm}}</p></div><span class="sp"></span>
<a class="btn" href="/phone">{{_('Phone in the browser')}}</a>
<form method="post" action="/me/logout"><button>{{_('Sign out')}}</button></form></div>
% if said:
<div class="notice" role="status"><p>{{said}}</p></div>
% end
<div class="stack">
<section class="card" aria-labelledby="phones-title">
<header><h2 id="phones-title">{{_('My phones')}}</h2></header>
% if not user.contacts:
<p class="empty">{{_('No phone is registered.') if user.call_settings.has_rules else _('No phone is registered: calls to you fail.')}}</p>
% end
% for phone in user.contacts:
<div class="issue"><span class="ic" aria-hidden="true">✓</span>
<p>{{phone.user_agent or _('Phone')}}</p>
<p class="small dim">{{rich(_('<mono>{address}</mono>, seen {ago}'), address=phone.host, ago=ago(phone.updated_at, now))}}</p>
<form class="act" method="post" action="/me/phones/drop"><input type="hidden" name="contact" value="{{phone.key}}"><button class="s" aria-label="{{_('Sign off {device} at {address}').format(device=phone.user_agent or _('the phone'), address=phone.host)}}">{{_('Sign off')}}</button></form>
</div>
% end
</section>
% if refusals:
<section class="card" aria-labelledby="refusals-title">
<header><h2 id="refusals-title">{{_('Last refusals')}}</h2></header>
% for each in refusals:
<div class="issue"><span class="ic bad" aria-hidden="true">!</span>
<p>{{as_sentence(each.cause)}}</p>
<p class="small dim">{{refusal_line(each, now, _('Registration') if each.method == 'REGISTER' else _('Call to {name}').format(name=each.to))}}</p>
</div>
% end
</section>
% end
<section class="card" aria-labelledby="calls-title">
<header><h2 id="calls-title">{{_('Last calls')}}</h2></header>
% if not calls:
<p class="empty">{{_('There are no calls yet.')}}</p>
% end
<ul class="feed" role="list">
% for call in calls:
<li><span role="img" aria-label="{{_('to') if call.is_outgoing else _('from')}}">{{'→' if call.is_outgoing else '←'}}</span> <b>{{call.name}}</b> <span class="mono dim">{{call.number}}</span>
<div class="w"><span class="pill {{call.pill}}">{{call.result}}</span> {{call.lasted}}{{' · ' if call.lasted else ''}}<time datetime="{{moment(call.started_at)}}">{{ago(call.started_at, now)}}</time></div></li>
% end
</ul>
</section>
<section class="card" aria-labelledby="forward-title">
<header><h2 id="forward-title">{{_('Calls to me')}}</h2></header>
<div class="body">
% if user.call_settings.aliases:
<p>{{_('You are also called by {names}.').format(names=', '.join(user.call_settings.aliases))}}</p>
% end
% focus = next(iter(errors), '')
<form method="post" action="/me/calls">
<label><input type="checkbox" name="dnd" value="on"{{' checked' if typed['dnd'] else ''}}\\
% if 'dnd' in errors:
 aria-invalid="true" aria-describedby="dnd-error" autofocus\\
% end
> {{_('Do not disturb: my phones do not ring')}}</label>
% if 'dnd' in errors:
<p class="field-error" id="dnd-error">{{errors['dnd']}}</p>
% end
<p class="help">{{_('A call is forwarded to a user, a group, a telephone number or a SIP address. An empty field forwards no call.')}}</p>
% for name, label in (('always', _('Forward all calls to')), ('busy', _('Forward when busy to')), ('no_answer', _('Forward without an answer to'))):
% include('field.tpl', name=name, label=label, value=typed[name], longest=255, required=False, choices=(), focus=focus)
% end
% include('field.tpl', name='no_answer_seconds', label=_('Seconds without an answer'), value=typed['no_answer_seconds'], longest=9, required=False, choices=(), focus=focus)
% include('field.tpl', name='offline', label=_('Forward when no phone is registered to'), value=typed['offline'], longest=255, required=False, choices=(), focus=focus)
<button>{{_('Save')}}</button>
</form>
</div>
</section>
<section class="card" aria-labelledby="password-title">
<header><h2 id="password-title">{{_('New password')}}</h2></header>
<div class="body">
<form method="post" action="/me/password">
<input hidden type="text" name="username" value="{{user.username}}" autocomplete="username" readonly>
% field('current', _('Present password'), 'current-password')
% field('password', _('New password'), 'new-password')
% field('again', _('New password, once more'), 'new-password')
<button>{{_('Change')}}</button>
</form>
<p class="small dim">{{_('Your phones need the new password, too.')}}</p>
</div>
</section>
</div>
