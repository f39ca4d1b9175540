% rebase('layout.tpl', title='Messages', refresh=None)
<div class="head">
<h1>Messages</h1>
<span class="dim small">The latest {{memory}} MiB of SIP messages, by Call-ID</span>
</div>
<form class="row" role="search" action="/traces" method="get">
<label class="search">Search
<input type="search" name="q" id="q" value="{{search}}" placeholder="Name, number, address or Call-ID" autocomplete="off"></label>
<button class="secondary">Search</button>
</form>
% if pinned and not can_change:
<p>Messages of <strong>{{pinned}}</strong> are kept longer.</p>
% elif pinned:
<form class="row" method="post" action="/traces/pin"><p>Messages of <strong>{{pinned}}</strong> are kept longer.</p><input type="hidden" name="username" value=""><input type="hidden" name="back" value="/traces"><button class="s">End this</button></form>
% end
% if not memory:
<p class="empty">No messages are kept, because <code>-trace.memory</code> is 0.</p>
% elif not rows:
<p class="empty">{{'No message matches.' if search else 'No message has passed yet.'}}</p>
% else:
<div class="card">
<table class="cards-when-narrow" aria-label="Call-IDs, the latest first">
<thead><tr><th scope="col">Request</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Began</th><th scope="col">Messages</th><th scope="col">Outcome</th><th scope="col">Ladder</th></tr></thead>
<tbody>
% for row in rows:
% outline = row['outline']
<tr>
<td data-label="Request" class="whole">{{outline.method}}</td>
<td data-label="From">{{outline.from_ or 'unknown'}}</td>
<td data-label="To">{{outline.to or 'unknown'}}</td>
<td data-label="Began" class="whole num"><time datetime="{{moment(row['at'])}}" title="{{moment(row['at'])}}">{{ago(row['at'], now)}}</time></td>
<td data-label="Messages" class="whole num">{{row['number']}}</td>
<td data-label="Outcome">\\
% if outline.outcome:
<span class="pill {{row['pill']}}">{{outline.outcome}}</span>\\
% end
</td>
<td data-label="" class="whole"><a href="{{row['path']}}" aria-label="Ladder of {{outline.method}} from {{outline.from_ or 'unknown'}} to {{outline.to or 'unknown'}}, Call-ID {{row['call_id'] or 'missing'}}">Ladder</a></td>
</tr>
% end
</tbody>
</table>
</div>
% end
% include('pager.tpl', pager=pager)
<p class="muted">A search looks at the first message of the latest {{'{:,}'.format(searched)}} Call-IDs.</p>
