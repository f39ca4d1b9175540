% rebase('layout.tpl', title=title)
<div class="narrow">
<h1>{{title}}</h1>
<p>{{sentence}}</p>
% if session:
<p><a href="/">To the overview</a></p>
% end
</div>
