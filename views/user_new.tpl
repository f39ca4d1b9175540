% rebase('layout.tpl', title=_('Add a user') if not errors else _('User not added'))
% focus = next((name for name in ('username', 'display_name', 'password', 'realm') if name in errors), 'username')
<p class="small"><a href="/users{{list_query}}">{{_('Back to the list') if is_filtered else _('Back to all users')}}</a></p>
<div class="head"><h1>{{_('Add a user')}}</h1></div>
<section class="panel form">
<form method="post" action="/users/new{{list_query}}">
% include('field.tpl', name='username', label=_('User name'), value=username, longest=128, required=True, choices=(), focus=focus, hint=_('The part of the SIP address before the @, such as alice or 101.'))
% include('field.tpl', name='display_name', label=_('Display name'), value=display_name, longest=128, required=False, choices=(), focus=focus, hint='')
% include('password.tpl', errors=errors, how=how, focus=focus)
% include('field.tpl', name='realm', label=_('Realm'), value=realm, longest=255, required=True, choices=realms, focus=focus, hint=_('Change it only if this server has users of several domains.'))
<button class="p">{{_('Add')}}</button>
</form>
</section>
