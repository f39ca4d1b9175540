% make = how != 'type'
<fieldset>
<legend>Password</legend>
<label><input type="radio" name="how" value="make"{{' checked' if make else ''}}> Make one, and show it once</label>
<label><input type="radio" name="how" value="type"{{'' if make else ' checked'}}> Take this one:</label>
% if make:
<noscript><label><input type="radio" name="how" value="either" checked> By the field: typed text is the password, and an empty field gets a new one:</label></noscript>
% end
<input name="password" type="password" aria-label="New password" autocomplete="new-password" maxlength="256"\\
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
