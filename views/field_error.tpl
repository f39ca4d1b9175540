% if field in errors:
<small class="field-error" id="{{field}}-error">{{errors[field]}}</small>
% end
