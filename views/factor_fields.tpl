<input hidden type="text" name="username" value="{{session.username}}" autocomplete="username" readonly>
% for name, label, kind, fill in (('code', _('Code'), 'text', 'one-time-code'), ('current', _('Your password'), 'password', 'current-password')):
<div class="field">
<label for="{{name}}">{{label}}</label>
<input id="{{name}}" name="{{name}}" type="{{kind}}" autocomplete="{{fill}}" autocapitalize="none" spellcheck="false" maxlength="{{1024 if kind == 'password' else 40}}" required\\
% if name in errors:
 aria-invalid="true" aria-describedby="{{name}}-error" autofocus\\
% end
>
% if name in errors:
<p class="field-error" id="{{name}}-error">{{errors[name]}}</p>
% end
</div>
% end
