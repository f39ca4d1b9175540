<input type="hidden" name="next" value="{{next}}">
% if saved:
<input type="hidden" name="kept_path" value="{{saved.path}}">
<input type="hidden" name="kept_form" value="{{saved.text}}">
<input type="hidden" name="kept_lacks" value="{{'password' if saved.lacks_password else ''}}">
% end
