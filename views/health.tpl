% rebase('layout.tpl', title=_('Health'))
<div id="live" class="stack" hx-get="/health" hx-trigger="every 10s" hx-select="#live" hx-target="this" hx-swap="outerMorph">
<div class="head"><h1>{{_('Health')}}</h1>
% if not checks:
<span class="pill off">{{_('No server runs here')}}</span>
% elif not bad:
<span class="pill on">{{_('All {count} checks are ok').format(count=len(checks))}}</span>
% else:
<span class="pill {{'bad' if status == 'failing' else 'ring'}}">{{ngettext('{bad} of {count} checks need you', '{bad} of {count} checks need you', bad).format(bad=bad, count=len(checks))}}</span>
% end
</div>
<section class="card" aria-label="{{_('Health checks')}}">
% for check in checks:
<div class="issue" id="{{anchor(check)}}">
<span class="ic {{dict(ok='good', warning='warn', failing='bad')[check.status]}}" aria-hidden="true">{{'✓' if check.status == 'ok' else '!'}}</span>
<p>{{translated(check.name)}} <span class="pill {{dict(ok='on', warning='ring', failing='bad')[check.status]}}">{{translated(check.status)}}</span></p>
<p class="small dim">{{translated(check.detail)}}\\
% if check.cure:
 <b>{{translated(check.cure)}}</b>\\
% end
</p>
</div>
% end
</section>
<p class="small dim">{{rich(_('The checks are made when this page or <code>sipserver.py health</code> asks for them.'))}}</p>
</div>
