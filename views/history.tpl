% rebase('layout.tpl', title=_('History'))
<div class="head">
<h1>{{_('History')}}</h1>
<span class="sp"></span>
% if found.calls:
<a class="btn" href="{{question.link('/history/export.csv')}}" download>{{_('Download as CSV')}}</a>
% end
</div>
% if not keep:
<p class="notice hint" role="note">{{rich(_('New calls are not kept: <code>-calls.keep</code> is 0.'))}}</p>
% end
<div class="call-filters">
<nav class="chips" aria-label="{{_('Result')}}">
<a class="chip" href="{{question.link(result='')}}"\\
% if not question.result:
 aria-current="true"\\
% end
>{{_('All')}}</a>
% for each in results:
<a class="chip" href="{{question.link(result=each)}}"\\
% if each == question.result:
 aria-current="true"\\
% end
>{{translated(each).capitalize()}}</a>
% end
</nav>
<nav class="chips" aria-label="{{_('Period')}}">
<a class="chip" href="{{question.link(**{'from': '', 'to': ''})}}"\\
% if not question.first and not question.last:
 aria-current="true"\\
% end
>{{_('Any time')}}</a>
% for name, first, last in periods:
<a class="chip" href="{{question.link(**{'from': first, 'to': last})}}"\\
% if (first, last) == (question.first, question.last):
 aria-current="true"\\
% end
>{{_(name)}}</a>
% end
</nav>
<form class="row" aria-label="{{_('Filter the history')}}" action="/history" method="get">
% if question.result:
<input type="hidden" name="result" value="{{question.result}}">
% end
<label>{{_('User')}}
<input name="user" value="{{question.user}}" autocapitalize="none" autocomplete="off" spellcheck="false" maxlength="300"></label>
<label>{{_('Number or name contains')}}
<input name="number" value="{{question.number}}" autocapitalize="none" autocomplete="off" spellcheck="false" maxlength="300"></label>
<label>{{_('First day (UTC)')}}
<input type="date" name="from" value="{{question.first or ''}}"></label>
<label>{{_('Last day (UTC)')}}
<input type="date" name="to" value="{{question.last or ''}}"></label>
<button class="secondary">{{_('Show')}}</button>
% if question.is_filtered:
<a href="/history">{{_('Show all calls')}}</a>
% end
</form>
</div>
<dl class="tiles" aria-label="{{_('Totals')}}">
<div class="tile"><dt class="k">{{_('Calls')}}</dt><dd class="v num">{{thousands(summary.calls)}}</dd></div>
<div class="tile"><dt class="k">{{_('Answered')}}</dt><dd class="v num">{{'–' if summary.success_rate is None else _('{number}%').format(number=round(100 * summary.success_rate))}}</dd></div>
<div class="tile"><dt class="k">{{_('Average ring')}}</dt><dd class="v num">{{'–' if summary.average_ring is None else _('{count} s').format(count=round(summary.average_ring))}}</dd></div>
<div class="tile"><dt class="k">{{_('Average talk')}}</dt><dd class="v num">{{'–' if summary.average_talk is None else counter(round(summary.average_talk))}}</dd></div>
</dl>
% if summary.is_partial:
<p class="small dim muted">{{_('These totals are of the newest {count} calls that match.').format(count=thousands(summary.calls))}}</p>
% end
% if summary.calls:
% shown = [column for column in columns if column.calls]
<figure class="call-chart">
<figcaption class="small dim muted">{{rich(chart_title, classes={'answered': 'key answered', 'other': 'key other'}, count=thousands(max(column.calls for column in columns)))}}</figcaption>
<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{{chart_label}}" width="1000" height="100">
% for column in columns:
% if column.calls:
<g><title>{{ngettext('{label}: {count} call, {answered} answered', '{label}: {count} calls, {answered} answered', column.calls).format(label=column.label, count=column.calls, answered=column.answered)}}</title>
<rect class="answered" x="{{column.x}}" y="{{column.answered_y}}" width="{{column.width}}" height="{{column.answered_height}}"/>
<rect class="other" x="{{column.x}}" y="{{column.other_y}}" width="{{column.width}}" height="{{column.other_height}}"/></g>
% end
% end
</svg>
<div class="ends small dim muted"><span>{{columns[0].shown}}</span><span>{{columns[-1].shown}}</span></div>
<details class="small">
<summary>{{_('The chart as a table')}}</summary>
<table>
<thead><tr><th scope="col">{{_('Begins (UTC)')}}</th><th scope="col" class="r">{{_('Calls')}}</th><th scope="col" class="r">{{_('Answered')}}</th></tr></thead>
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
<p class="card empty">{{rich(_('No match among the calls since {time}.'), time=time_element(found.searched_to))}}</p>
% else:
<p class="card empty">{{_('No calls match.') if question.is_filtered or not is_first else _('There are no calls yet.')}}</p>
% end
% else:
<section class="card">
<table class="cards-when-narrow past-calls" aria-label="{{_('Past calls, the newest first')}}">
<thead><tr><th scope="col">{{_('From')}}</th><th scope="col">{{_('To')}}</th><th scope="col">{{_('Started')}} <span data-utc>(UTC)</span></th><th scope="col" class="r">{{_('Rang')}}</th><th scope="col" class="r">{{_('Talked')}}</th><th scope="col">{{_('Result')}}</th><th scope="col">{{_('How it ended')}}</th><th scope="col">{{_('Ladder')}}</th></tr></thead>
<tbody>
% for call in found.calls:
<tr>
% for column, label, side in (('from', _('From'), call.caller), ('to', _('To'), call.callee)):
% number = side.number(realm)
<td data-label="{{label}}" data-column="{{column}}"><div class="who"><div>\\
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
<td data-label="{{_('Started')}}" class="num whole"><time datetime="{{moment(call.started_at)}}" data-show="both" title="{{ago(call.started_at, now)}}">{{date_time(call.started_at)}}</time></td>
<td data-label="{{_('Rang')}}" class="num r">{{counter(round(call.rang_seconds)) if call.rang_seconds else '–'}}</td>
<td data-label="{{_('Talked')}}" class="num r">{{counter(round(call.talked_seconds)) if call.talked_seconds else '–'}}</td>
<td data-label="{{_('Result')}}"><span class="pill {{pill(call)}}">{{translated(call.result).capitalize()}}</span></td>
<td data-label="{{_('How it ended')}}" data-column="ended">{{why(call)}}\\
% if call.status and call.status != 200:
 <span class="dim muted num">{{call.status}}</span>\\
% end
% if call.cure:
<div class="small dim muted">{{translated(call.cure)}}</div>\\
% end
</td>
<td class="r"><a class="btn s" href="{{ladder(call)}}">{{_('Ladder')}}</a></td>
</tr>
% end
</tbody>
</table>
</section>
% end
% if found.searched_to:
<p class="small dim muted">{{_('Many numbers match this text, so each page searches only some calls.')}}</p>
% end
% include('pager.tpl', pager=pager)
<p class="small dim muted"><span data-utc>{{_('Times are UTC.')}}</span>
% if keep:
{{rich(ngettext('Calls are kept for {count} day, <code>-calls.keep</code>.', 'Calls are kept for {count} days, <code>-calls.keep</code>.', keep), count=thousands(keep))}}
% end
{{_('“Answered” is the share of answered calls among those that this server did not refuse.')}}</p>
