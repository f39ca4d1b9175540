% setdefault('waiting', ())
<table class="cards-when-narrow" aria-label="{{label}}">
<thead><tr><th scope="col">{{_('When')}}</th><th scope="col">{{_('User')}}</th><th scope="col">{{_('Request')}}</th><th scope="col">{{_('Reason, and what to do')}}</th><th scope="col">{{_('From')}}</th><th scope="col">{{_('Action')}}</th></tr></thead>
<tbody>
% for each in rows:
<tr>
<td data-label="{{_('When')}}" class="whole"><span><time datetime="{{moment(each.last_at)}}" title="{{moment(each.last_at)}}">{{ago(each.last_at, now)}}</time>\\
% if each.count > 1:
<br><span class="muted" title="{{_('first at {time}').format(time=moment(each.first_at))}}">{{_('{count} times').format(count=thousands(each.count))}}</span>\\
% end
</span></td>
<td data-label="{{_('User')}}" data-column="user" class="{{'whole' if len(each.user) < 20 else ''}}">{{each.user or _('unknown')}}</td>
<td data-label="{{_('Request')}}"><span class="{{'whole' if each.method == 'REGISTER' else ''}}">{{_('registration') if each.method == 'REGISTER' else _('call to {name}').format(name=each.to)}} <span class="muted">{{each.status}}</span></span></td>
<td data-label="{{_('Reason')}}"><span>{{as_sentence(each.cause)}}\\
% if each.cure:
 <span class="muted">{{translated(each.cure)}}</span>\\
% end
</span></td>
<td data-label="{{_('From')}}" data-column="from"><span><span class="mono whole">{{each.address}}</span>\\
% if each.device:
<br><span class="muted">{{each.device}}</span>\\
% end
</span></td>
<td data-label="{{_('Action')}}"><span class="row">\\
% if can_change and waiting and (each.username, network_of(each.address)) in waiting:
<form class="inline" method="post" action="/bans/forgive"><input type="hidden" name="username" value="{{each.username}}"><input type="hidden" name="address" value="{{network_of(each.address)}}"><button class="btn s" aria-label="{{_('Let it try again: {name} at {address}').format(name=each.username, address=each.address)}}">{{_('Let it try again')}}</button></form>\\
% end
% if each.call_id:
<a class="btn s" href="{{ladder_link(each.call_id)}}" aria-label="{{_('Ladder of the request by {name}').format(name=each.user or _('unknown'))}}">{{_('Ladder')}}</a>\\
% end
</span></td>
</tr>
% end
</tbody>
</table>
