% rebase('layout.tpl', title=title)
<div class="narrow">
<h1>{{title}}</h1>
<p>{{sentence}}</p>
% if session and is_of_users:
<p><a href="/users{{list_query}}">{{'Back to the users found' if is_narrowed else 'Back to all users'}}</a></p>
% elif session:
<p><a href="/">To the overview</a></p>
% end
</div>
