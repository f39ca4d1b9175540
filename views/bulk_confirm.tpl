% heads = {'enable': 'Enable', 'disable': 'Disable', 'delete': 'Delete', 'passwords': 'Give new passwords to'}
% buttons = {'enable': 'Enable', 'disable': 'Disable', 'delete': 'Delete', 'passwords': 'Make new passwords for'}
% head = '{} {}'.format(heads[act], users)
% rebase('layout.tpl', title=head)
<p class="small"><a href="/users{{list_query}}">Back to the list</a></p>
<div class="head"><h1>{{head}}?</h1></div>
<section class="panel narrow">
<p>{{', '.join(names)}}\\
% if count > len(names):
 and {{'{:,}'.format(count - len(names))}} more\\
% end
</p>
% if act == 'enable':
<p>Their phones can register again. Users that are enabled already stay as they are.</p>
% elif act == 'disable':
<p>Their registrations are removed, their phones are refused, and they cannot be called. Users that are disabled already stay as they are.</p>
% elif act == 'delete':
<p>Their registrations are removed, and their phones are refused.</p>
% else:
<p>Each user gets a generated password. The passwords are shown once, to print or save them, and are not stored. The phones are refused until they have their new password.</p>
% end
<p>This can be undone for an hour.</p>
<form method="post" action="/users/act/{{act}}{{list_query}}">
<input type="hidden" name="number" value="{{number}}">
<div class="row">
<button class="{{'d' if act == 'delete' else 'p'}}">{{buttons[act]}} {{users}}</button>
<a class="btn" href="/users{{list_query}}" role="button">Cancel</a>
</div>
</form>
</section>
