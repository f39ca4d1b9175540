% rebase('layout.tpl', title=_('Messages'), refresh=None)
<div class="head">
<h1>{{_('Messages')}}</h1>
<span class="dim small">{{_('The latest {count} MiB of SIP messages, by Call-ID').format(count=memory)}}</span>
</div>
<form class="row" role="search" action="/traces" method="get">
<label class="search">{{_('Search')}}
<input type="search" name="q" id="q" value="{{search}}" placeholder="{{_('Name, number, address or Call-ID')}}" autocomplete="off"></label>
<button class="secondary">{{_('Search')}}</button>
</form>
% if pinned and not can_change:
<p>{{rich(_('Messages of <strong>{name}</strong> are kept longer.'), name=pinned)}}</p>
% elif pinned:
<form class="row" method="post" action="/traces/pin"><p>{{rich(_('Messages of <strong>{name}</strong> are kept longer.'), name=pinned)}}</p><input type="hidden" name="username" value=""><input type="hidden" name="back" value="/traces"><button class="s">{{_('End this')}}</button></form>
% end
% if not memory:
<p class="empty">{{rich(_('No messages are kept, because <code>-trace.memory</code> is 0.'))}}</p>
% elif not rows:
<p class="empty">{{_('No message matches.') if search else _('No message has passed yet.')}}</p>
% else:
<div class="card">
<table class="cards-when-narrow" aria-label="{{_('Call-IDs, the latest first')}}">
<thead><tr><th scope="col">{{_('Request')}}</th><th scope="col">{{_('From')}}</th><th scope="col">{{_('To')}}</th><th scope="col">{{_('Began')}}</th><th scope="col">{{_('Messages')}}</th><th scope="col">{{_('Outcome')}}</th><th scope="col">{{_('Ladder')}}</th></tr></thead>
<tbody>
% for row in rows:
% outline = row['outline']
<tr>
<td data-label="{{_('Request')}}" class="whole">{{outline.method}}</td>
<td data-label="{{_('From')}}" data-column="from">{{outline.from_ or _('unknown')}}</td>
<td data-label="{{_('To')}}">{{outline.to or _('unknown')}}</td>
<td data-label="{{_('Began')}}" class="whole num"><time datetime="{{moment(row['at'])}}" title="{{moment(row['at'])}}">{{ago(row['at'], now)}}</time></td>
<td data-label="{{_('Messages')}}" class="whole num">{{row['number']}}</td>
<td data-label="{{_('Outcome')}}">\\
% if outline.outcome:
<span class="pill {{row['pill']}}">{{translated(outline.outcome)}}</span>\\
% end
</td>
<td data-label="" class="whole"><a href="{{row['path']}}" aria-label="{{_('Ladder of {method} from {caller} to {callee}, Call-ID {call_id}').format(method=outline.method, caller=outline.from_ or _('unknown'), callee=outline.to or _('unknown'), call_id=row['call_id'] or _('missing'))}}">{{_('Ladder')}}</a></td>
</tr>
% end
</tbody>
</table>
</div>
% end
% include('pager.tpl', pager=pager)
<p class="muted">{{_('A search looks at the first message of the latest {count} Call-IDs.').format(count=thousands(searched))}}</p>
