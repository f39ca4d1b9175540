% rebase('layout.tpl', title=_('Calls'), refresh=refresh)
<script src="{{static('calls.js')}}" defer></script>
<div id="calls" hx-get="{{here}}" hx-trigger="changed" hx-select="#calls" hx-target="this" hx-swap="outerMorph">
<div class="head"><h1>{{_('Calls')}}</h1>
<span class="pill talk">{{_('{count} talking').format(count=thousands(talking))}}</span>
<span class="pill ring">{{ngettext('{count} ringing', '{count} ringing', ringing).format(count=thousands(ringing))}}</span>
<span class="sp"></span>
<span class="small dim" id="live"></span>
</div>
% if not rows and not failed:
<div class="empty"><p>{{_('No older call rings or talks now.') if before else _('No call rings or talks now.')}}</p></div>
% else:
<section class="card">
<table class="cards-when-narrow" aria-label="{{_('Calls, the newest first')}}">
<thead><tr><th scope="col">{{_('From')}}</th><th scope="col">{{_('To')}}</th><th scope="col">{{_('State')}}</th><th scope="col" class="r">{{_('Time')}}</th><th scope="col">{{_('Sound')}}</th><th scope="col">{{_('Action')}}</th></tr></thead>
<tbody>
% for row in rows + failed:
<tr id="call-{{row.id}}">
<td data-label="{{_('From')}}" data-column="from">\\
% include('call_person.tpl', person=row.caller)
</td>
<td data-label="{{_('To')}}">\\
% include('call_person.tpl', person=row.callee)
</td>
<td data-label="{{_('State')}}"><div><span class="pill {{row.pill}}">{{row.state}}</span>
% if row.hold:
<div class="small dim">{{row.hold}}</div>
% end
% if row.sentences:
<div class="small dim">{{row.sentences}}</div>
% end
</div></td>
<td data-label="{{_('Time')}}" class="num r">\\
% if row.pill == 'bad':
{{counter(row.seconds)}}\\
% else:
<time data-running="{{row.seconds}}" datetime="PT{{row.seconds}}S">{{counter(row.seconds)}}</time>\\
% end
</td>
<td data-label="{{_('Sound')}}"><div class="small">\\
% if row.pill == 'ring':
{{ngettext('{count} phone rings', '{count} phones ring', len(row.phones)).format(count=len(row.phones))}}\\
% if len(row.phones) > 1:
<ul class="plain" role="list">
% for phone in row.phones:
<li>{{', '.join(filter(None, (phone.device or _('unknown device'), phone.address, _('behind NAT') if phone.behind_nat else '')))}}</li>
% end
</ul>
% end
% else:
{{row.sound}}\\
% end
% if row.offered and row.offered != row.sound:
<div class="dim">{{_('offered: {codecs}').format(codecs=row.offered)}}</div>
% end
</div></td>
<td data-label="{{_('Action')}}" class="whole"><div class="row">
<a class="btn s" href="{{row.trace}}" aria-label="{{_('Ladder of the call from {names}').format(names=row.name)}}">{{_('Ladder')}}</a>
% if can_change and row.pill != 'bad':
<form class="inline" method="post" action="/calls/{{row.id}}/hang-up{{'?before={}'.format(before) if before else ''}}"><button class="small btn s d" aria-label="{{_('Hang up the call from {names}').format(names=row.name)}}">{{_('Hang up')}}</button></form>
% end
</div></td>
</tr>
% end
</tbody>
</table>
</section>
% end
% if rows and pager:
<p class="small dim num">{{_('Calls {first} to {last} of {total}, the newest first').format(first=thousands(first), last=thousands(first + len(rows) - 1), total=thousands(talking + ringing))}}</p>
% end
% include('pager.tpl', pager=pager)
<p class="small dim">{{rich(_('A call that fails stays here for 10 s. After that, like all calls that have ended, it is in the <history>history</history>. The latest <messages>messages</messages> of calls, registrations and other requests can be searched.'), {'history': '/history', 'messages': '/traces'})}}</p>
</div>
