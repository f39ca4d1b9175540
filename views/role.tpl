<div class="field">
<label for="role">{{_('Role')}}</label>
<select id="role" name="role">
% for each in roles:
<option value="{{each}}"{{' selected' if each == role else ''}}>{{each}}</option>
% end
</select>
</div>
