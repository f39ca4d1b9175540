<section class="card" aria-labelledby="last-calls">
<header><h2 id="last-calls">{{_('Last calls')}}</h2><span class="sp"></span>\\
% if calls:
<a class="small" href="{{calls_link}}">{{_('All')}}</a>\\
% end
</header>
% if not calls:
<p class="empty">{{_('This user has made and got no call yet.')}}</p>
% else:
<table aria-label="{{_('Last calls')}}"><tbody>
% for call in calls:
<tr>
<td><span role="img" aria-label="{{_('to') if call.is_outgoing else _('from')}}">{{'→' if call.is_outgoing else '←'}}</span> {{call.name}} <span class="mono dim">{{call.number}}</span>\\
% if call.cause:
<div class="small dim">{{as_sentence(call.cause)}} {{translated(call.cure)}}</div>\\
% end
</td>
<td><span class="pill {{call.pill}}">{{call.result}}</span></td>
<td class="num r">{{call.lasted}}</td>
<td class="small dim r num"><time datetime="{{moment(call.started_at)}}" title="{{moment(call.started_at)}}">{{ago(call.started_at, now)}}</time></td>
<td class="r num"><a class="small" href="{{call.ladder}}" aria-label="{{_('ladder of the call with {name}').format(name=call.name)}}">{{_('ladder')}}</a></td>
</tr>
% end
</tbody></table>
% end
</section>
