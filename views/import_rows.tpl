<section class="card" id="rows">
<header>
<nav class="chips" aria-label="{{_('Rows')}}">
% for kind, url in preview.kinds:
<a class="chip" href="{{url}}"\\
% if kind == preview.kind:
 aria-current="true"\\
% end
>{{kind_names[kind]}}</a>
% end
</nav>
% if preview.kind == 'refused' and preview.total:
<a href="/users/import/refused.csv" download>{{_('Download the refused rows as CSV')}}</a>
% end
</header>
% if not preview.total:
<p class="empty">{{_('There are no such rows.')}}</p>
% else:
<table class="plain">
<caption>{{preview.caption}}</caption>
<thead><tr><th scope="col">{{_('Line')}}</th>\\
% if preview.kind == 'refused':
<th scope="col">{{_('Reason')}}</th>\\
% else:
<th scope="col">{{_('User')}}</th>\\
% end
% if preview.kind in ('new', 'changed'):
<th scope="col">{{_('Changes') if preview.kind == 'changed' else _('Values')}}</th>\\
% end
</tr></thead>
<tbody>
% for row, changes in zip(preview.rows, preview.changes):
<tr><td>{{row.line}}</td>\\
% if preview.kind == 'refused':
<td>{{translated(row.text)}}</td>\\
% else:
<th scope="row" class="{{'whole' if len(row.username) < 25 and not row.realm else ''}}">{{row.username}}{{'@' + row.realm if row.realm else ''}}</th>\\
% end
% if preview.kind in ('new', 'changed'):
<td>{{changes}}</td>\\
% end
</tr>
% end
</tbody>
</table>
% if preview.unlisted:
% if preview.kind == 'same':
<p class="body small dim">{{ngettext('{count} more row is not listed, because it repeats an earlier row.', '{count} more rows are not listed, because they repeat an earlier row.', preview.unlisted).format(count=thousands(preview.unlisted))}}</p>
% else:
<p class="body small dim">{{ngettext('{count} more row is not listed.', '{count} more rows are not listed.', preview.unlisted).format(count=thousands(preview.unlisted))}}</p>
% end
% end
% end
</section>
% include('pager.tpl', pager=preview.pager)
