% rebase('layout.tpl', title='Health')
<div id="live" class="stack" hx-get="/health" hx-trigger="every 10s" hx-select="#live" hx-target="this" hx-swap="outerMorph">
<div class="head"><h1>Health</h1>
% if not checks:
<span class="pill off">No server runs here</span>
% elif not bad:
<span class="pill on">All {{len(checks)}} checks are ok</span>
% else:
<span class="pill {{'bad' if status == 'failing' else 'ring'}}">{{bad}} of {{len(checks)}} checks need you</span>
% end
</div>
<section class="card" aria-label="Health checks">
% for check in checks:
<div class="issue" id="{{anchor(check)}}">
<span class="ic {{dict(ok='good', warning='warn', failing='bad')[check.status]}}" aria-hidden="true">{{'✓' if check.status == 'ok' else '!'}}</span>
<p>{{check.name}} <span class="pill {{dict(ok='on', warning='ring', failing='bad')[check.status]}}">{{check.status}}</span></p>
<p class="small dim">{{check.detail}}\\
% if check.cure:
 <b>{{check.cure}}</b>\\
% end
</p>
</div>
% end
</section>
<p class="small dim">The checks are made when this page or <code>sipserver.py health</code> asks for them.</p>
</div>
