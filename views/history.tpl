% rebase('layout.tpl', title='History')
<div class="head">
<h1>History</h1>
<span class="sp"></span>
% if found.calls:
<a class="btn" href="{{question.link('/history/export.csv')}}" download>Download as CSV</a>
% end
</div>
% if not keep:
<p class="notice hint" role="note">New calls are not kept: <code>-calls.keep</code> is 0.</p>
% end
<div class="call-filters">
<nav class="chips" aria-label="Result">
<a class="chip" href="{{question.link(result='')}}"\\
% if not question.result:
 aria-current="true"\\
% end
>All</a>
% for each in results:
<a class="chip" href="{{question.link(result=each)}}"\\
% if each == question.result:
 aria-current="true"\\
% end
>{{each.capitalize()}}</a>
% end
</nav>
<nav class="chips" aria-label="Period">
<a class="chip" href="{{question.link(**{'from': '', 'to': ''})}}"\\
% if not question.first and not question.last:
 aria-current="true"\\
% end
>Any time</a>
% for name, first, last in periods:
<a class="chip" href="{{question.link(**{'from': first, 'to': last})}}"\\
% if (first, last) == (question.first, question.last):
 aria-current="true"\\
% end
>{{name}}</a>
% end
</nav>
<form class="row" aria-label="Filter the history" action="/history" method="get">
% if question.result:
<input type="hidden" name="result" value="{{question.result}}">
% end
<label>User
<input name="user" value="{{question.user}}" autocapitalize="none" autocomplete="off" spellcheck="false" maxlength="300"></label>
<label>Number or name contains
<input name="number" value="{{question.number}}" autocapitalize="none" autocomplete="off" spellcheck="false" maxlength="300"></label>
<label>First day (UTC)
<input type="date" name="from" value="{{question.first or ''}}"></label>
<label>Last day (UTC)
<input type="date" name="to" value="{{question.last or ''}}"></label>
<button class="secondary">Show</button>
% if question.is_filtered:
<a href="/history">Show all calls</a>
% end
</form>
</div>
<dl class="tiles" aria-label="Totals">
<div class="tile"><dt class="k">Calls</dt><dd class="v num">{{f'{summary.calls:,}'}}</dd></div>
<div class="tile"><dt class="k">Answered</dt><dd class="v num">{{'–' if summary.success_rate is None else f'{summary.success_rate:.0%}'}}</dd></div>
<div class="tile"><dt class="k">Average ring</dt><dd class="v num">{{'–' if summary.average_ring is None else f'{summary.average_ring:.0f} s'}}</dd></div>
<div class="tile"><dt class="k">Average talk</dt><dd class="v num">{{'–' if summary.average_talk is None else counter(round(summary.average_talk))}}</dd></div>
</dl>
% if summary.is_partial:
<p class="small dim muted">These totals are of the newest {{f'{summary.calls:,}'}} calls that match.</p>
% end
% if summary.calls:
% shown = [column for column in columns if column.calls]
<figure class="call-chart">
<figcaption class="small dim muted">Calls for each {{step}}, at most {{f'{max(column.calls for column in columns):,}'}}: <span class="key answered">answered</span> and <span class="key other">all others</span></figcaption>
<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="Calls for each {{step}}; the table after the chart has the numbers" width="1000" height="100">
% for column in columns:
% if column.calls:
<g><title>{{column.label}}: {{column.calls}} calls, {{column.answered}} answered</title>
<rect class="answered" x="{{column.x}}" y="{{column.answered_y}}" width="{{column.width}}" height="{{column.answered_height}}"/>
<rect class="other" x="{{column.x}}" y="{{column.other_y}}" width="{{column.width}}" height="{{column.other_height}}"/></g>
% end
% end
</svg>
<div class="ends small dim muted"><span>{{columns[0].label}}</span><span>{{columns[-1].label}}</span></div>
<details class="small">
<summary>The chart as a table</summary>
<table>
<thead><tr><th scope="col">Begins (UTC)</th><th scope="col" class="r">Calls</th><th scope="col" class="r">Answered</th></tr></thead>
<tbody>
% for column in shown:
<tr><td class="num">{{column.label}}</td><td class="num r">{{column.calls}}</td><td class="num r">{{column.answered}}</td></tr>
% end
</tbody>
</table>
</details>
</figure>
% end
% if not found.calls:
% if found.next:
<p class="card empty">No match among the calls since {{moment(found.searched_to).replace('T', ' ').replace('Z', '')}}.</p>
% else:
<p class="card empty">{{'No calls match.' if question.is_filtered or not is_first else 'There are no calls yet.'}}</p>
% end
% else:
<section class="card">
<table class="cards-when-narrow past-calls" aria-label="Past calls, the newest first">
<thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">Started (UTC)</th><th scope="col" class="r">Rang</th><th scope="col" class="r">Talked</th><th scope="col">Result</th><th scope="col">How it ended</th><th scope="col">Ladder</th></tr></thead>
<tbody>
% for call in found.calls:
<tr>
% for label, side in (('From', call.caller), ('To', call.callee)):
% number = side.number(realm)
<td data-label="{{label}}"><div class="who"><div>\\
% if side.name:
<b>{{side.name}}</b>\\
% end
<span class="mono">\\
% if side.user_id:
<a href="/users/{{side.user_id}}">{{number}}</a>\\
% else:
{{number}}\\
% end
</span>\\
% if side.device or side.address:
<span class="small dim muted">{{side.device}} {{side.address}}</span>\\
% end
</div></div></td>
% end
<td data-label="Started" class="num whole"><time datetime="{{moment(call.started_at)}}" title="{{ago(call.started_at, now)}}">{{moment(call.started_at).replace('T', ' ').replace('Z', '')}}</time></td>
<td data-label="Rang" class="num r">{{counter(round(call.rang_seconds)) if call.rang_seconds else '–'}}</td>
<td data-label="Talked" class="num r">{{counter(round(call.talked_seconds)) if call.talked_seconds else '–'}}</td>
<td data-label="Result"><span class="pill {{pill(call)}}">{{call.result.capitalize()}}</span></td>
<td data-label="How it ended">{{why(call)}}\\
% if call.status and call.status != 200:
 <span class="dim muted num">{{call.status}}</span>\\
% end
% if call.cure:
<div class="small dim muted">{{call.cure}}</div>\\
% end
</td>
<td class="r"><a class="btn s" href="{{ladder(call)}}">Ladder</a></td>
</tr>
% end
</tbody>
</table>
</section>
% end
% if found.searched_to:
<p class="small dim muted">Many numbers match this text, so each page searches only some calls.</p>
% end
% include('pager.tpl', pager=pager)
<p class="small dim muted">Times are UTC.\\
% if keep:
 Calls are kept for {{keep}} days, <code>-calls.keep</code>.\\
% end
 “Answered” is the share of answered calls among those that this server did not refuse.</p>
