% rebase('layout.tpl', title=title)
<div class="narrow">
<div class="head"><h1>{{title}}</h1></div>
<p>{{sentence}}</p>
% if session and is_of_users:
<p><a href="/users{{list_query}}">{{'Back to the list' if is_filtered else 'Back to all users'}}</a></p>
% elif session:
<p><a href="/">Back to the overview</a></p>
% end
</div>
