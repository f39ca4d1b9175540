% rebase('layout.tpl', title='Add a user')
<p><a href="/users">Back to all users</a></p>
<h1>Add a user</h1>
<article class="panel form">
<form method="post" action="/users/new">
<label>User name
<input name="username" value="{{username}}" required autofocus maxlength="128" autocomplete="off" autocapitalize="none" spellcheck="false"\\
% if 'username' in errors:
 aria-invalid="true" aria-describedby="username-error"\\
% end
>
<small>What stands before the @ of the SIP address, such as alice or 101.</small>
% include('field_error.tpl', field='username', errors=errors)
</label>
<label>Display name
<input name="display_name" value="{{display_name}}" maxlength="128" autocomplete="off"\\
% if 'display_name' in errors:
 aria-invalid="true" aria-describedby="display_name-error"\\
% end
>
% include('field_error.tpl', field='display_name', errors=errors)
</label>
% include('password.tpl', errors=errors, how=how)
<label>Realm
<input name="realm" value="{{realm}}" list="realms" required maxlength="255" autocomplete="off" autocapitalize="none" spellcheck="false"\\
% if 'realm' in errors:
 aria-invalid="true" aria-describedby="realm-error"\\
% end
>
<datalist id="realms">
% for each in realms:
<option value="{{each}}">
% end
</datalist>
<small>Leave it as it is, unless this server has users of several domains.</small>
% include('field_error.tpl', field='realm', errors=errors)
</label>
<button>Add</button>
</form>
</article>
