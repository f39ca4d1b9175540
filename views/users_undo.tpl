% rebase('layout.tpl', title=_('Recent changes of users'))
<p class="small"><a href="/users{{list_query}}">{{_('Back to the list')}}</a></p>
<div class="head"><h1>{{_('Recent changes of users')}}</h1></div>
<p class="dim">{{_('Changes of several users can be undone for an hour. A user that was changed again since then stays as it is now.')}}</p>
<section class="card" aria-label="{{_('Recent changes')}}">
% if not steps:
<p class="empty">{{_('There is no change to undo.')}}</p>
% else:
<table class="cards-when-narrow" aria-label="{{_('Recent changes')}}">
<thead><tr><th scope="col">{{_('What changed')}}</th><th scope="col">{{_('Users')}}</th><th scope="col">{{_('By')}}</th><th scope="col">{{_('When')}}</th><th scope="col">{{_('Action')}}</th></tr></thead>
<tbody>
% for step in steps:
<tr>
<td data-label="{{_('What changed')}}">{{step_text(step)}}</td>
<td data-label="{{_('Users')}}">{{details_text(step.act, step.about)}}</td>
<td data-label="{{_('By')}}">{{actor_text(step.changed_by)}}</td>
<td data-label="{{_('When')}}" class="whole"><time datetime="{{moment(step.at)}}" title="{{moment(step.at)}}">{{ago(step.at, now)}}</time></td>
<td data-label="{{_('Action')}}"><form class="inline" method="post" action="/users/undo/{{step.id}}{{list_query}}"><button class="s" aria-label="{{_('Undo')}}: {{step_text(step)}}">{{_('Undo')}}</button></form></td>
</tr>
% end
</tbody>
</table>
% end
</section>
