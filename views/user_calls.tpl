<section class="card" aria-labelledby="last-calls">
<header><h2 id="last-calls">Last calls</h2><span class="sp"></span>\\
% if calls:
<a class="small" href="{{calls_link}}">All</a>\\
% end
</header>
% if not calls:
<p class="empty">This user has made and got no call yet.</p>
% else:
<table aria-label="Last calls"><tbody>
% for call in calls:
<tr>
<td><span role="img" aria-label="{{'to' if call.is_outgoing else 'from'}}">{{'→' if call.is_outgoing else '←'}}</span> {{call.name}} <span class="mono dim">{{call.number}}</span>\\
% if call.cause:
<div class="small dim">{{as_sentence(call.cause)}} {{call.cure}}</div>\\
% end
</td>
<td><span class="pill {{call.pill}}">{{call.result}}</span></td>
<td class="num r">{{call.lasted}}</td>
<td class="small dim r num"><time datetime="{{moment(call.started_at)}}" title="{{moment(call.started_at)}}">{{ago(call.started_at, now)}}</time></td>
<td class="r num"><a class="small" href="{{call.ladder}}" aria-label="ladder of the call with {{call.name}}">ladder</a></td>
</tr>
% end
</tbody></table>
% end
</section>
