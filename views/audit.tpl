% rebase('layout.tpl', title='Audit')
<div class="head"><h1>Audit</h1></div>
<form class="row" aria-label="Filter the audit" action="/audit" method="get">
<label>Show
<select name="kind">
<option value="">Everything</option>
% for each in kinds:
<option value="{{each}}"{{' selected' if each == kind else ''}}>{{each.capitalize()}}</option>
% end
</select>
</label>
<button>Show</button>
</form>
% if not entries:
<p class="card empty">{{'There are no entries yet.' if is_first and not kind else 'No entries match.'}}</p>
% else:
<div class="card">
<table class="cards-when-narrow" aria-label="Audit entries, the latest first">
<thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">Action</th><th scope="col">Details</th><th scope="col">From</th></tr></thead>
<tbody>
% for entry in entries:
<tr>
<td data-label="When" class="whole"><time datetime="{{moment(entry.at)}}" title="{{ago(entry.at, now)}}">{{moment(entry.at).replace('T', ' ').replace('Z', '')}}</time></td>
<td data-label="Who" class="whole">{{entry.who or 'not signed in'}}</td>
<td data-label="Action" class="whole"><span class="{{'' if entry.who else 'pill bad'}}">{{entry.text}}</span></td>
<td data-label="Details">{{entry.about}}</td>
<td data-label="From" class="whole">\\
% if entry.address:
<span class="mono">{{entry.address}}</span>\\
% end
</td>
</tr>
% end
</tbody>
</table>
</div>
% include('pager.tpl', pager=pager)
% end
<p class="small dim">Times are UTC. Entries are kept for {{days}} days. No entry contains a password, or text that was typed before the sign-in.</p>
