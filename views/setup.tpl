% rebase('layout.tpl', title=_('Set up a phone of {name}').format(name=user.username))
<script src="{{static('setup.js')}}" defer></script>
% here = '/users/{}/setup{}{}since={}'.format(user.id, list_query, '&' if list_query else '?', since)
<p class="small"><a href="/users/{{user.id}}{{list_query}}">{{_('Back to {name}').format(name=user.username)}}</a></p>
<div class="head"><h1>{{_('Set up a phone of {name}').format(name=user.display_name or user.username)}}</h1></div>
<div id="waiting" class="stack" data-events="/users/{{user.id}}/setup/events" hx-get="{{here}}" hx-trigger="changed, every 5s" hx-select="#waiting" hx-target="this" hx-swap="outerMorph">
<div class="notice {{ {'bad': 'bad', 'ring': 'hint'}.get(waiting.pill, '') }}" role="status"><p><span class="pill {{waiting.pill}}">{{waiting.title}}</span>\\
% if waiting.sentences:
 {{waiting.sentences}}\\
% end
</p>
% if waiting.pill == 'on' and settings.echo:
<p>{{rich(_('Call <mono>echo</mono> on the phone: you hear what you say.'))}}</p>
% end
</div>
% for banner in banners:
% include('user_banner.tpl', banner=banner)
% end
</div>
% if shown:
<noscript><p>{{rich(_('<look>Look for the phone</look> in a new tab. This page shows the password only once, so it does not load itself again.'), {'look': here}, new_tab=True)}}</p></noscript>
% end
<section class="card setup" aria-labelledby="setup-title">
<header><h2 id="setup-title">{{_('Settings for the phone')}}</h2></header>
<div class="body">
% if shown and shown.text:
<p>{{shown.text}}</p>
% end
<dl class="kv">
<dt>{{_('Server')}}</dt><dd class="mono" data-value>{{settings.domain}}</dd>
<dt>{{_('User name')}}</dt><dd class="mono" data-value>{{settings.username}}</dd>
% if not (shown and shown.password):
<dt>{{_('Password')}}</dt><dd>{{_('the password that you typed') if shown and shown.text else _('the password of this user')}}</dd>
% end
</dl>
% if shown and shown.password:
<p class="small dim">{{_('Password')}}</p>
<div class="secret">
<input class="mono" readonly value="{{shown.password}}" aria-label="{{_('The password, shown only now')}}">
<button type="button" class="s" data-copy>{{_('Copy')}}</button>
</div>
% end
<fieldset class="tabs">
<legend>{{_('Which phone?')}}</legend>
% for value, name in (('any', _('Any phone')), ('qr', _('QR code')), ('linphone', 'Linphone'), ('baresip', 'baresip'), ('grandstream', 'Grandstream'), ('yealink', 'Yealink')):
<label><input type="radio" name="phone" value="{{value}}"{{' checked' if value == 'any' else ''}}> {{name}}</label>
% end
</fieldset>
<div class="tab" data-tab="any">
<h3>{{_('Any phone')}}</h3>
<p>{{_('Type these values into the settings of the SIP account. Phones use different names for the same value.')}}</p>
% include('phone.tpl', settings=settings)
</div>
<div class="tab" data-tab="qr">
<h3>{{_('QR code')}}</h3>
% if link:
<p>{{rich(_('Open Linphone on the phone. Choose <strong>Scan QR code</strong> and hold the camera to this picture.'))}}</p>
<p><img class="qr" src="{{link.qr}}" alt="{{_('QR code of the link below')}}" width="240" height="240"></p>
<p class="small dim">{{_('The same link as text:')}}</p>
<div class="secret"><input class="mono" readonly value="{{link.url}}" aria-label="{{_('The link for Linphone, shown only now')}}"><button type="button" class="s" data-copy>{{_('Copy')}}</button></div>
<p>{{_('The link works once, for 10 minutes. It contains no password, and it sets up the phone without one.')}}</p>
% elif may_link and can_change:
<p>{{_('A QR code sets up Linphone without typing. It works once, for 10 minutes.')}}</p>
<form method="post" action="/users/{{user.id}}/setup/link{{list_query}}"><button>{{_('Make a QR code')}}</button></form>
% elif may_link:
<p>{{rich(_('An administrator with the role <strong>admin</strong> can make a QR code here, which sets up Linphone.'))}}</p>
% else:
<p>{{_('A QR code needs HTTPS: its link lets a phone register. Open these pages by HTTPS to make one.')}}</p>
% end
</div>
<div class="tab" data-tab="linphone">
<h3>{{_('Linphone')}}</h3>
<ol>
<li>{{rich(_('Open <strong>Assistant</strong>, then <strong>Use SIP account</strong> (or <strong>Third-party SIP account</strong>).'))}}</li>
<li>{{rich(_('Username: <mono>{value}</mono>'), value=settings.username)}}</li>
<li>{{_('Password: the password above.')}}</li>
<li>{{rich(_('Domain: <mono>{value}</mono>'), value=settings.domain)}}</li>
<li>{{rich(_('Transport: <strong>{value}</strong>'), value=transport.upper())}}</li>
% if settings.proxy:
<li>{{rich(_('Outbound proxy: <mono>{value}</mono>'), value=settings.proxy)}}</li>
% end
</ol>
</div>
<div class="tab" data-tab="baresip">
<h3>{{_('baresip')}}</h3>
% if shown and shown.password:
<p>{{rich(_('Add this line to the file <mono>~/.baresip/accounts</mono>, then start baresip again:'))}}</p>
% else:
<p>{{rich(_('Add this line to the file <mono>~/.baresip/accounts</mono>, then start baresip again. Write the password in the place of <mono>PASSWORD</mono>:'))}}</p>
% end
<div class="secret"><input class="mono" readonly value="{{baresip}}" aria-label="{{_('The line for baresip')}}"><button type="button" class="s" data-copy>{{_('Copy')}}</button></div>
</div>
<div class="tab" data-tab="grandstream">
<h3>{{_('Grandstream')}}</h3>
<ol>
<li>{{rich(_('Open the web page of the phone, then <strong>Accounts</strong>, <strong>Account 1</strong>, <strong>General Settings</strong>.'))}}</li>
<li>{{rich(_('Account Active: <strong>Yes</strong>'))}}</li>
<li>{{rich(_('SIP Server: <mono>{value}</mono>'), value=settings.domain)}}</li>
% if settings.proxy:
<li>{{rich(_('Outbound Proxy: <mono>{value}</mono>'), value=settings.proxy)}}</li>
% end
<li>{{rich(_('SIP User ID and Authenticate ID: <mono>{value}</mono>'), value=settings.username)}}</li>
<li>{{_('Authenticate Password: the password above.')}}</li>
<li>{{rich(_('Press <strong>Save and Apply</strong>.'))}}</li>
</ol>
</div>
<div class="tab" data-tab="yealink">
<h3>{{_('Yealink')}}</h3>
<ol>
<li>{{rich(_('Open the web page of the phone, then <strong>Account</strong>, <strong>Register</strong>.'))}}</li>
<li>{{rich(_('Line Active: <strong>Enabled</strong>'))}}</li>
<li>{{rich(_('Register Name and User Name: <mono>{value}</mono>'), value=settings.username)}}</li>
<li>{{_('Password: the password above.')}}</li>
<li>{{rich(_('SIP Server 1, Server Host: <mono>{host}</mono>, Port: <mono>{port}</mono>'), host=settings.domain.rpartition(':')[0] if settings.domain.count(':') == 1 else settings.domain, port=settings.domain.rpartition(':')[2] if settings.domain.count(':') == 1 else 5060)}}</li>
<li>{{rich(_('Transport: <strong>{value}</strong>'), value=transport.upper())}}</li>
% if settings.proxy:
<li>{{rich(_('Outbound Proxy Server: <mono>{value}</mono>'), value=settings.proxy)}}</li>
% end
<li>{{rich(_('Press <strong>Confirm</strong>.'))}}</li>
</ol>
</div>
</div>
</section>
