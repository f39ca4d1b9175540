% setdefault('waiting', ())
<table class="cards-when-narrow" aria-label="{{label}}">
<thead><tr><th scope="col">When</th><th scope="col">User</th><th scope="col">Request</th><th scope="col">Reason, and what to do</th><th scope="col">From</th><th scope="col">Action</th></tr></thead>
<tbody>
% for each in rows:
<tr>
<td data-label="When" class="whole"><span><time datetime="{{moment(each.last_at)}}" title="{{moment(each.last_at)}}">{{ago(each.last_at, now)}}</time>\\
% if each.count > 1:
<br><span class="muted" title="first at {{moment(each.first_at)}}">{{'{:,}'.format(each.count)}} times</span>\\
% end
</span></td>
<td data-label="User" class="{{'whole' if len(each.user) < 20 else ''}}">{{each.user or 'unknown'}}</td>
<td data-label="Request"><span class="{{'whole' if each.method == 'REGISTER' else ''}}">{{'registration' if each.method == 'REGISTER' else 'call to ' + each.to}} <span class="muted">{{each.status}}</span></span></td>
<td data-label="Reason"><span>{{as_sentence(each.cause)}}\\
% if each.cure:
 <span class="muted">{{each.cure}}</span>\\
% end
</span></td>
<td data-label="From"><span><span class="mono whole">{{each.address}}</span>\\
% if each.device:
<br><span class="muted">{{each.device}}</span>\\
% end
</span></td>
<td data-label="Action"><span class="row">\\
% if can_change and waiting and (each.username, network_of(each.address)) in waiting:
<form class="inline" method="post" action="/bans/forgive"><input type="hidden" name="username" value="{{each.username}}"><input type="hidden" name="address" value="{{network_of(each.address)}}"><button class="btn s" aria-label="Let {{each.username}} at {{each.address}} try again">Let it try again</button></form>\\
% end
% if each.call_id:
<a class="btn s" href="{{ladder_link(each.call_id)}}" aria-label="Ladder of the request by {{each.user or 'unknown'}}">Ladder</a>\\
% end
</span></td>
</tr>
% end
</tbody>
</table>
