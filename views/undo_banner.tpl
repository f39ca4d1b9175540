<div class="notice hint" role="status">
<p>{{step_text(step)}}</p>
<form class="inline" method="post" action="/users/undo/{{step.id}}{{list_query}}"><button class="s">{{_('Undo')}}</button></form>
</div>
