% rebase('layout.tpl', title=head)
<p class="small"><a href="/users{{list_query}}">{{_('Back to the list')}}</a></p>
<div class="head"><h1>{{head}}</h1></div>
<section class="panel narrow">
<p>{{some_of(names, count)}}</p>
% if act == 'enable':
<p>{{_('Their phones can register again. Users that are enabled already stay as they are.')}}</p>
% elif act == 'disable':
<p>{{_('Their registrations are removed, their phones are refused, and they cannot be called. Users that are disabled already stay as they are.')}}</p>
% elif act == 'delete':
<p>{{_('Their registrations are removed, and their phones are refused.')}}</p>
% else:
<p>{{_('Each user gets a generated password. The passwords are shown once, to print or save them, and are not stored. The phones are refused until they have their new password.')}}</p>
% end
<p>{{_('This can be undone for an hour.')}}</p>
<form method="post" action="/users/act/{{act}}{{list_query}}">
<input type="hidden" name="number" value="{{number}}">
<div class="row">
<button class="{{'d' if act == 'delete' else 'p'}}">{{button}}</button>
<a class="btn" href="/users{{list_query}}" role="button">{{_('Cancel')}}</a>
</div>
</form>
</section>
