% rebase('layout.tpl', title='Audit')
<h1>Audit</h1>
<form class="row" aria-label="Choose what to see" action="/audit" method="get">
<label>Show
<select name="kind">
<option value="">Everything</option>
% for each in kinds:
<option value="{{each}}"{{' selected' if each == kind else ''}}>{{each.capitalize()}}</option>
% end
</select>
</label>
<button class="secondary">Show</button>
</form>
% if not entries:
<p class="empty">{{'Nothing has been done yet.' if is_first and not kind else 'There is nothing of the kind.'}}</p>
% else:
<table class="cards-when-narrow" aria-label="What was done, the latest first">
<thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">Whom or how</th><th scope="col">From</th></tr></thead>
<tbody>
% for entry in entries:
<tr>
<td data-label="When" class="whole"><time datetime="{{moment(entry.at)}}" title="{{ago(entry.at, now)}}">{{moment(entry.at).replace('T', ' ').replace('Z', '')}}</time></td>
<td data-label="Who" class="whole">{{entry.who or 'a stranger'}}</td>
<td data-label="What" class="whole"><span class="{{'' if entry.who else 'state disabled'}}">{{entry.act}}</span></td>
<td data-label="About">{{entry.about}}</td>
<td data-label="From" class="whole">\\
% if entry.address:
<span class="mono">{{entry.address}}</span>\\
% end
</td>
</tr>
% end
</tbody>
</table>
% if older or not is_first:
<nav class="pager" aria-label="Pages">
<ul>
% if not is_first:
<li><a href="{{first}}">Latest</a></li>
% end
% if older:
<li><a href="{{older}}" rel="next">Older</a></li>
% end
</ul>
</nav>
% end
% end
<p class="muted">Times are UTC. Entries are kept for {{days}} days. No password is ever in it, nor anything that a stranger has typed.</p>
