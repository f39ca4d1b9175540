% hint, error = get('hint', ''), errors.get(name, '')
% described = ' '.join(f'{name}-{part}' for part, text in (('hint', hint), ('error', error)) if text)
<div class="field">
<label for="{{name}}">{{label}}</label>
<input id="{{name}}" name="{{name}}" value="{{value}}" maxlength="{{longest}}" autocomplete="off" autocapitalize="none" spellcheck="false"\\
% if required:
 required\\
% end
% if choices:
 list="{{name}}-choices"\\
% end
% if error:
 aria-invalid="true"\\
% end
% if described:
 aria-describedby="{{described}}"\\
% end
% if focus == name:
 autofocus\\
% end
>
% if error:
<p class="field-error" id="{{name}}-error">{{error}}</p>
% end
% if hint:
<p class="help" id="{{name}}-hint">{{hint}}</p>
% end
% if choices:
<datalist id="{{name}}-choices">
% for each in choices:
<option value="{{each}}">
% end
</datalist>
% end
</div>
