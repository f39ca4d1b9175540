<dl class="settings">
<dt>User name</dt><dd class="mono">{{settings.username}}</dd>
<dt>Password</dt><dd>{{get('password') or 'the one set for this user'}}</dd>
<dt>Domain, server or registrar</dt><dd class="mono">{{settings.domain}}</dd>
<dt>Transport</dt><dd>UDP</dd>
<dt>Realm, if it asks</dt><dd class="mono">{{settings.realm}}</dd>
<dt>Others dial</dt><dd class="mono">{{settings.address}}</dd>
</dl>
