% rebase('layout.tpl', title=_('Audit'))
<div class="head"><h1>{{_('Audit')}}</h1></div>
<form class="row" aria-label="{{_('Filter the audit')}}" action="/audit" method="get">
<label>{{_('Show')}}
<select name="kind">
<option value="">{{_('Everything')}}</option>
% for each in kinds:
<option value="{{each}}"{{' selected' if each == kind else ''}}>{{translated(each).capitalize()}}</option>
% end
</select>
</label>
<button>{{_('Show')}}</button>
</form>
% if not entries:
<p class="card empty">{{_('There are no entries yet.') if is_first and not kind else _('No entries match.')}}</p>
% else:
<div class="card">
<table class="cards-when-narrow" aria-label="{{_('Audit entries, the latest first')}}">
<thead><tr><th scope="col">{{_('When')}}</th><th scope="col">{{_('Who')}}</th><th scope="col">{{_('Action')}}</th><th scope="col">{{_('Details')}}</th><th scope="col">{{_('From')}}</th></tr></thead>
<tbody>
% for entry in entries:
% who = actor_text(entry.who, entry.about)
<tr>
<td data-label="{{_('When')}}" class="whole"><time datetime="{{moment(entry.at)}}" data-show="both" title="{{ago(entry.at, now)}}">{{date_time(entry.at)}}</time></td>
<td data-label="{{_('Who')}}" class="whole">{{who or _('not signed in')}}</td>
<td data-label="{{_('Action')}}" class="whole"><span class="{{'' if who else 'pill bad'}}">{{translated(entry.text)}}</span></td>
<td data-label="{{_('Details')}}">{{details_text(entry.act, entry.about)}}</td>
<td data-label="{{_('From')}}" data-column="from" class="whole">\\
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
<p class="small dim"><span data-utc>{{_('Times are UTC.')}}</span> {{_('Entries are kept for {days} days. No entry contains a password, or text that was typed before the sign-in.').format(days=days)}}</p>
