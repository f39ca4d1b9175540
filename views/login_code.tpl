% rebase('layout.tpl', title='Sign in: code')
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% end
<section class="card">
<div class="body">
<h1>Enter the code</h1>
<form method="post" action="/login/code">
<input type="hidden" name="ticket" value="{{ticket}}">
% include('kept_form.tpl', next=next, saved=saved)
<label>Code
<input name="code" inputmode="text" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="40" required autofocus>
</label>
<p class="help">The six digits that your authenticator app shows now, or one of your recovery codes.</p>
<button class="p">Sign in</button>
</form>
</div>
</section>
<p class="small dim"><a href="/login">Start again</a></p>
<p class="small dim">App and recovery codes lost? <code>python sipserver.py admin reset-factor NAME</code> removes the second factor.</p>
