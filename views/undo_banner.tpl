<div class="notice hint" role="status">
<p>{{step_text(step)}}</p>
<form class="inline" method="post" action="/users/undo/{{step.id}}{{list_query}}"><button class="s">Undo</button></form>
</div>
