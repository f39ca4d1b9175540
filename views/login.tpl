% rebase('layout.tpl', title='Sign in')
% said, has_ended, kept = get('said', ''), get('has_ended'), get('kept')
<div class="narrow">
<h1>Sign in</h1>
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% elif said:
<div class="notice{{' hint' if has_ended else ''}}" role="status"><p>{{said}}</p></div>
% end
<article class="panel">
<form method="post" action="/login">
<input type="hidden" name="next" value="{{next}}">
% if kept:
<input type="hidden" name="kept_path" value="{{kept.path}}">
<input type="hidden" name="kept_form" value="{{kept.text}}">
<input type="hidden" name="kept_lacks" value="{{'password' if kept.lacks_password else ''}}">
% end
<label>User name
<input name="username" value="{{username}}" autocomplete="username" autocapitalize="none" spellcheck="false" required>
</label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required autofocus>
</label>
<button>Sign in</button>
</form>
</article>
<p class="muted">The password was printed when the server started for the first time.
<code>python sipserver.py admin password</code> sets a new one.</p>
</div>
