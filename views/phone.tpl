<dl class="kv">
<dt>User name</dt><dd class="mono" data-value>{{settings.username}}</dd>
% if settings.escaped:
<dt>User name within a SIP address</dt><dd class="mono" data-value>{{settings.escaped}}</dd>
% end
<dt>Password</dt><dd>the password of this user</dd>
<dt>Domain, server or registrar</dt><dd class="mono" data-value>{{settings.domain}}</dd>
% if settings.proxy:
<dt>Outbound proxy</dt><dd class="mono" data-value>{{settings.proxy}}</dd>
% end
<dt>Transport</dt><dd>{{settings.transport}}</dd>
<dt>Realm, if the phone asks for it</dt><dd class="mono" data-value>{{settings.realm}}</dd>
<dt>Address for callers</dt><dd class="mono" data-value>{{settings.address}}</dd>
</dl>
% if settings.echo:
<p>Registered? Call <span class="mono">echo</span>, or in full <span class="mono">{{settings.echo}}</span>: you hear what you say.</p>
% end
