% rebase('layout.tpl', title=_('Sign in: code'))
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% end
<section class="card">
<div class="body">
<h1>{{_('Enter the code')}}</h1>
<form method="post" action="/login/code">
<input type="hidden" name="ticket" value="{{ticket}}">
% include('kept_form.tpl', next=next, saved=saved)
<label>{{_('Code')}}
<input name="code" inputmode="text" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="40" required autofocus>
</label>
<p class="help">{{_('The six digits that your authenticator app shows now, or one of your recovery codes.')}}</p>
<button class="p">{{_('Sign in')}}</button>
</form>
</div>
</section>
<p class="small dim"><a href="/login">{{_('Start again')}}</a></p>
<p class="small dim">{{rich(_('App and recovery codes lost? <code>python sipserver.py admin reset-factor NAME</code> removes the second factor.'))}}</p>
