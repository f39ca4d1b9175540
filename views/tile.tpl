<div class="tile"><div class="k"><a href="{{tile.href}}">{{tile.title}}</a></div>
<div class="v"><span id="{{tile.id}}">{{tile.figure}}</span> <small>{{tile.small}}</small></div>
<div class="t">\\
% if tile.text_href:
<a href="{{tile.text_href}}">{{tile.text}}</a>\\
% else:
{{tile.text}}\\
% end
</div>
% if tile.points:
<svg viewBox="0 0 100 28" width="100" height="28" preserveAspectRatio="none" aria-hidden="true"><polyline points="{{tile.ground}}" fill="var(--{{tile.tone}}-soft)" stroke="none"/><polyline points="{{tile.points}}" fill="none" stroke="var(--{{tile.tone}})" stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>
% end
</div>
