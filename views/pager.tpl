% if pager:
<nav class="pager" aria-label="{{_('Pages')}}">
<ul>
% for each in pager:
<li><a href="{{each.url}}"\\
% if each.rel:
 rel="{{each.rel}}"\\
% end
>{{each.text}}</a></li>
% end
</ul>
</nav>
% end
