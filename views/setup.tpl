% rebase('layout.tpl', title='Set up a phone of ' + user.username)
<script src="{{static('setup.js')}}" defer></script>
% here = '/users/{}/setup{}{}since={}'.format(user.id, list_query, '&' if list_query else '?', since)
<p class="small"><a href="/users/{{user.id}}{{list_query}}">Back to {{user.username}}</a></p>
<div class="head"><h1>Set up a phone of {{user.display_name or user.username}}</h1></div>
<div id="waiting" class="stack" data-events="/users/{{user.id}}/setup/events" hx-get="{{here}}" hx-trigger="changed, every 5s" hx-select="#waiting" hx-target="this" hx-swap="outerMorph">
<div class="notice {{ {'bad': 'bad', 'ring': 'hint'}.get(waiting.pill, '') }}" role="status"><p><span class="pill {{waiting.pill}}">{{waiting.title}}</span>\\
% if waiting.sentences:
 {{waiting.sentences}}\\
% end
</p>
% if waiting.pill == 'on' and settings.echo:
<p>Call <span class="mono">echo</span> on the phone: you hear what you say.</p>
% end
</div>
% for banner in banners:
% include('user_banner.tpl', banner=banner)
% end
</div>
% if shown:
<noscript><p><a href="{{here}}" target="_blank">Look for the phone</a> in a new tab. This page shows the password only once, so it does not load itself again.</p></noscript>
% end
<section class="card setup" aria-labelledby="setup-title">
<header><h2 id="setup-title">Settings for the phone</h2></header>
<div class="body">
% if shown and shown.text:
<p>{{shown.text}}</p>
% end
<dl class="kv">
<dt>Server</dt><dd class="mono" data-value>{{settings.domain}}</dd>
<dt>User name</dt><dd class="mono" data-value>{{settings.username}}</dd>
% if not (shown and shown.password):
<dt>Password</dt><dd>{{'the password that you typed' if shown and shown.text else 'the password of this user'}}</dd>
% end
</dl>
% if shown and shown.password:
<p class="small dim">Password</p>
<div class="secret">
<input class="mono" readonly value="{{shown.password}}" aria-label="The password, shown only now">
<button type="button" class="s" data-copy>Copy</button>
</div>
% end
<fieldset class="tabs">
<legend>Which phone?</legend>
% for value, name in (('any', 'Any phone'), ('qr', 'QR code'), ('linphone', 'Linphone'), ('baresip', 'baresip'), ('grandstream', 'Grandstream'), ('yealink', 'Yealink')):
<label><input type="radio" name="phone" value="{{value}}"{{' checked' if value == 'any' else ''}}> {{name}}</label>
% end
</fieldset>
<div class="tab" data-tab="any">
<h3>Any phone</h3>
<p>Type these values into the settings of the SIP account. Phones use different names for the same value.</p>
% include('phone.tpl', settings=settings)
</div>
<div class="tab" data-tab="qr">
<h3>QR code</h3>
% if link:
<p>Open Linphone on the phone. Choose <strong>Scan QR code</strong> and hold the camera to this picture.</p>
<p><img class="qr" src="{{link.qr}}" alt="QR code of the link below" width="240" height="240"></p>
<p class="small dim">The same link as text:</p>
<div class="secret"><input class="mono" readonly value="{{link.url}}" aria-label="The link for Linphone, shown only now"><button type="button" class="s" data-copy>Copy</button></div>
<p>The link works once, for 10 minutes. It contains no password, and it sets up the phone without one.</p>
% elif may_link and can_change:
<p>A QR code sets up Linphone without typing. It works once, for 10 minutes.</p>
<form method="post" action="/users/{{user.id}}/setup/link{{list_query}}"><button>Make a QR code</button></form>
% elif may_link:
<p>An administrator with the role <strong>admin</strong> can make a QR code here, which sets up Linphone.</p>
% else:
<p>A QR code needs HTTPS: its link lets a phone register. Open these pages by HTTPS to make one.</p>
% end
</div>
<div class="tab" data-tab="linphone">
<h3>Linphone</h3>
<ol>
<li>Open <strong>Assistant</strong>, then <strong>Use SIP account</strong> (or <strong>Third-party SIP account</strong>).</li>
<li>Username: <span class="mono">{{settings.username}}</span></li>
<li>Password: the password above.</li>
<li>Domain: <span class="mono">{{settings.domain}}</span></li>
<li>Transport: <strong>{{transport.upper()}}</strong></li>
% if settings.proxy:
<li>Outbound proxy: <span class="mono">{{settings.proxy}}</span></li>
% end
</ol>
</div>
<div class="tab" data-tab="baresip">
<h3>baresip</h3>
<p>Add this line to the file <span class="mono">~/.baresip/accounts</span>, then start baresip again\\
% if not (shown and shown.password):
. Write the password in the place of <span class="mono">PASSWORD</span>\\
% end
:</p>
<div class="secret"><input class="mono" readonly value="{{baresip}}" aria-label="The line for baresip"><button type="button" class="s" data-copy>Copy</button></div>
</div>
<div class="tab" data-tab="grandstream">
<h3>Grandstream</h3>
<ol>
<li>Open the web page of the phone, then <strong>Accounts</strong>, <strong>Account 1</strong>, <strong>General Settings</strong>.</li>
<li>Account Active: <strong>Yes</strong></li>
<li>SIP Server: <span class="mono">{{settings.domain}}</span></li>
% if settings.proxy:
<li>Outbound Proxy: <span class="mono">{{settings.proxy}}</span></li>
% end
<li>SIP User ID and Authenticate ID: <span class="mono">{{settings.username}}</span></li>
<li>Authenticate Password: the password above.</li>
<li>Press <strong>Save and Apply</strong>.</li>
</ol>
</div>
<div class="tab" data-tab="yealink">
<h3>Yealink</h3>
<ol>
<li>Open the web page of the phone, then <strong>Account</strong>, <strong>Register</strong>.</li>
<li>Line Active: <strong>Enabled</strong></li>
<li>Register Name and User Name: <span class="mono">{{settings.username}}</span></li>
<li>Password: the password above.</li>
<li>SIP Server 1, Server Host: <span class="mono">{{settings.domain.rpartition(':')[0] if settings.domain.count(':') == 1 else settings.domain}}</span>, Port: <span class="mono">{{settings.domain.rpartition(':')[2] if settings.domain.count(':') == 1 else 5060}}</span></li>
<li>Transport: <strong>{{transport.upper()}}</strong></li>
% if settings.proxy:
<li>Outbound Proxy Server: <span class="mono">{{settings.proxy}}</span></li>
% end
<li>Press <strong>Confirm</strong>.</li>
</ol>
</div>
</div>
</section>
