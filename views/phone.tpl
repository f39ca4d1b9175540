<dl class="kv">
<dt>{{_('User name')}}</dt><dd class="mono" data-value>{{settings.username}}</dd>
% if settings.escaped:
<dt>{{_('User name within a SIP address')}}</dt><dd class="mono" data-value>{{settings.escaped}}</dd>
% end
<dt>{{_('Password')}}</dt><dd>{{_('the password of this user')}}</dd>
<dt>{{_('Domain, server or registrar')}}</dt><dd class="mono" data-value>{{settings.domain}}</dd>
% if settings.proxy:
<dt>{{_('Outbound proxy')}}</dt><dd class="mono" data-value>{{settings.proxy}}</dd>
% end
<dt>{{_('Transport')}}</dt><dd>{{settings.transport}}</dd>
<dt>{{_('Realm, if the phone asks for it')}}</dt><dd class="mono" data-value>{{settings.realm}}</dd>
<dt>{{_('Address for callers')}}</dt><dd class="mono" data-value>{{settings.address}}</dd>
</dl>
% if settings.echo:
<p>{{rich(_('Registered? Call <mono>echo</mono>, or in full <mono>{address}</mono>: you hear what you say.'), address=settings.echo)}}</p>
% end
