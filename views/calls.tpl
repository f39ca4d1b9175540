% rebase('layout.tpl', title='Calls', refresh=refresh)
<script src="{{static('calls.js')}}" defer></script>
<div id="calls" hx-get="{{here}}" hx-trigger="changed" hx-select="#calls" hx-target="this" hx-swap="outerMorph">
<div class="head"><h1>Calls</h1>
<span class="pill talk">{{'{:,}'.format(talking)}} talking</span>
<span class="pill ring">{{'{:,}'.format(ringing)}} ringing</span>
<span class="sp"></span>
<span class="small dim" id="live"></span>
</div>
% if not rows and not failed:
<div class="empty"><p>{{'No older call rings or talks now.' if before else 'No call rings or talks now.'}}</p></div>
% else:
<section class="card">
<table class="cards-when-narrow" aria-label="Calls, the newest first">
<thead><tr><th scope="col">From</th><th scope="col">To</th><th scope="col">State</th><th scope="col" class="r">Time</th><th scope="col">Sound</th><th scope="col">Action</th></tr></thead>
<tbody>
% for row in rows + failed:
<tr id="call-{{row.id}}">
<td data-label="From">\\
% include('call_person.tpl', person=row.caller)
</td>
<td data-label="To">\\
% include('call_person.tpl', person=row.callee)
</td>
<td data-label="State"><div><span class="pill {{row.pill}}">{{row.state}}</span>
% if row.hold:
<div class="small dim">{{row.hold}}</div>
% end
% if row.sentences:
<div class="small dim">{{row.sentences}}</div>
% end
</div></td>
<td data-label="Time" class="num r">\\
% if row.pill == 'bad':
{{counter(row.seconds)}}\\
% else:
<time data-running="{{row.seconds}}" datetime="PT{{row.seconds}}S">{{counter(row.seconds)}}</time>\\
% end
</td>
<td data-label="Sound"><div class="small">\\
% if row.pill == 'ring':
{{len(row.phones)}} {{'phone rings' if len(row.phones) == 1 else 'phones ring'}}\\
% if len(row.phones) > 1:
<ul class="plain" role="list">
% for phone in row.phones:
<li>{{phone.device or 'unknown device'}}, {{phone.address}}{{', behind NAT' if phone.behind_nat else ''}}</li>
% end
</ul>
% end
% else:
{{row.sound}}\\
% end
% if row.offered and row.offered != row.sound:
<div class="dim">offered: {{row.offered}}</div>
% end
</div></td>
<td data-label="Action" class="whole"><div class="row">
<a class="btn s" href="{{row.trace}}" aria-label="Ladder of the call from {{row.name}}">Ladder</a>
% if can_change and row.pill != 'bad':
<form class="inline" method="post" action="/calls/{{row.id}}/hang-up{{'?before={}'.format(before) if before else ''}}"><button class="small btn s d" aria-label="Hang up the call from {{row.name}}">Hang up</button></form>
% end
</div></td>
</tr>
% end
</tbody>
</table>
</section>
% end
% if rows and pager:
<p class="small dim num">Calls {{'{:,}'.format(first)}} to {{'{:,}'.format(first + len(rows) - 1)}} of {{'{:,}'.format(talking + ringing)}}, the newest first</p>
% end
% include('pager.tpl', pager=pager)
<p class="small dim">A call that fails stays here for 10 s. After that, like all calls that have ended, it is in the <a href="/history">history</a>. The latest <a href="/traces">messages</a> of calls, registrations and other requests can be searched.</p>
</div>
