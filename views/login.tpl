% rebase('layout.tpl', title=_('Sign in'))
% notice, has_ended, saved = get('notice', ''), get('has_ended'), get('saved')
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% elif notice:
<div class="notice{{' hint' if has_ended else ''}}" role="status"><p>{{notice}}</p></div>
% end
<section class="card">
<div class="body">
<h1>{{_('Sign in')}}</h1>
<form method="post" action="/login">
% include('kept_form.tpl', next=next, saved=saved)
<label>{{_('User name')}}
<input name="username" value="{{username}}" autocomplete="username" autocapitalize="none" spellcheck="false" required>
</label>
<label>{{_('Password')}}
<input name="password" type="password" autocomplete="current-password" required autofocus>
</label>
<button class="p">{{_('Sign in')}}</button>
</form>
</div>
</section>
<p class="small dim">{{rich(_('The server printed the password at its first start. <code>python sipserver.py admin password</code> sets a new one.'))}}</p>
