% rebase('layout.tpl', title='Sign in')
<div class="narrow">
<h1>Sign in</h1>
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% end
<article class="panel">
<form method="post" action="/login">
<input type="hidden" name="next" value="{{next}}">
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
