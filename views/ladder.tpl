<svg class="ladder-picture" viewBox="0 0 {{drawing.width}} {{drawing.height}}"\\
% if not drawing.is_scaled:
 width="{{drawing.width}}" height="{{drawing.height}}"\\
% end
 role="group" aria-labelledby="ladder-title">
<title id="ladder-title">{{_('Messages between the parties, from top to bottom')}}</title>
% for column in drawing.columns:
<line class="ll" x1="{{column.x}}" y1="68" x2="{{column.x}}" y2="{{drawing.height}}"/>
<g><title>{{column.title}}</title><rect class="lb" x="{{column.left}}" y="4" width="{{drawing.box_width}}" height="62" rx="8"/>
<text class="lt name" x="{{column.x}}" y="23" text-anchor="middle">{{column.name}}</text>
<text class="lm" x="{{column.x}}" y="41" text-anchor="middle">{{column.device}}</text>
<text class="lm" x="{{column.x}}" y="58" text-anchor="middle">{{column.where}}</text></g>
% end
% for rung in drawing.rungs:
<a class="rung" id="m{{rung.number}}" href="{{rung.url}}" hx-get="{{rung.url}}" hx-target="#trace" hx-select="#trace" hx-swap="outerMorph" hx-push-url="true" aria-description="{{rung.way}}"\\
% if rung.is_selected:
 aria-current="true"\\
% end
>
<rect class="hit" x="2" y="{{rung.y + 1}}" width="{{drawing.width - 4}}" height="{{rung.height - 2}}" rx="6"/>
<text class="lm" x="{{drawing.margin - 4}}" y="{{rung.line + 4}}" text-anchor="end">{{rung.time}}</text>
<line class="la {{rung.css}}" x1="{{rung.start}}" y1="{{rung.line}}" x2="{{rung.end}}" y2="{{rung.line}}"/><path class="la {{rung.css}}" d="{{rung.head}}"/>
<text class="lt {{rung.css}}" x="{{rung.middle}}" y="{{rung.line - 6}}" text-anchor="middle">{{rung.label}}</text>
% if rung.why:
<text class="lw" x="{{drawing.margin + 10}}" y="{{rung.line + 17}}">{{rung.why}}</text>
% end
</a>
% end
</svg>
