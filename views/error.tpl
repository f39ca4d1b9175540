% rebase('layout.tpl', title=title)
<div class="narrow">
<div class="head"><h1>{{title}}</h1></div>
<p>{{sentence}}</p>
% if session and is_of_users:
<p><a href="/users{{list_query}}">{{_('Back to the list') if is_filtered else _('Back to all users')}}</a></p>
% elif session:
<p><a href="/">{{_('Back to the overview')}}</a></p>
% end
</div>
