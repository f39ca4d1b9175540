% make = how != 'type'
<fieldset>
<legend>{{_('Password')}}</legend>
<label><input type="radio" name="how" value="make"{{' checked' if make else ''}}> {{_('Make one, and show it once')}}</label>
<label><input type="radio" name="how" value="type"{{'' if make else ' checked'}}> {{_('Take this one:')}}</label>
% if make:
<noscript><label><input type="radio" name="how" value="either" checked> {{_('By the field: typed text is the password, and an empty field gets a new one:')}}</label></noscript>
% end
<input name="password" type="password" aria-label="{{_('New password')}}" autocomplete="new-password" maxlength="256"\\
% if 'password' in errors:
 aria-invalid="true" aria-describedby="password-error"\\
% end
% if get('focus') == 'password':
 autofocus\\
% end
>
% if 'password' in errors:
<p class="field-error" id="password-error">{{errors['password']}}</p>
% end
</fieldset>
