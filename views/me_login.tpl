% rebase('layout.tpl', title=_('Sign in'))
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% elif notice:
<div class="notice hint" role="status"><p>{{notice}}</p></div>
% end
<section class="card">
<div class="body">
<h1>{{_('Sign in')}}</h1>
<form method="post" action="{{path}}/login">
<label>{{_('User name')}}
<input name="username" value="{{username}}" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="255" required{{'' if username else ' autofocus'}}>
</label>
<label>{{_('Password')}}
<input name="password" type="password" autocomplete="current-password" required{{' autofocus' if username else ''}}>
</label>
% if asks_realm:
<label>{{_('Domain')}}
<input name="realm" value="{{realm}}" autocapitalize="none" spellcheck="false" maxlength="255" required>
</label>
% end
<button class="p">{{_('Sign in')}}</button>
</form>
</div>
</section>
<p class="small dim">{{_('Use the user name and the password of your phone.')}}</p>
