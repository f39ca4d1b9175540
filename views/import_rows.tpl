<section class="card" id="rows">
<header>
<nav class="chips" aria-label="Rows">
% for kind, url in preview.kinds:
<a class="chip" href="{{url}}"\\
% if kind == preview.kind:
 aria-current="true"\\
% end
>{{kind.capitalize()}}</a>
% end
</nav>
% if preview.kind == 'refused' and preview.total:
<a href="/users/import/refused.csv" download>Download the refused rows as CSV</a>
% end
</header>
% if not preview.total:
<p class="empty">There are no such rows.</p>
% else:
<table class="plain">
<caption>{{preview.caption}}</caption>
<thead><tr><th scope="col">Line</th>\\
% if preview.kind == 'refused':
<th scope="col">Reason</th>\\
% else:
<th scope="col">User</th>\\
% end
% if preview.kind in ('new', 'changed'):
<th scope="col">{{'Changes' if preview.kind == 'changed' else 'Values'}}</th>\\
% end
</tr></thead>
<tbody>
% for row, changes in zip(preview.rows, preview.changes):
<tr><td>{{row.line}}</td>\\
% if preview.kind == 'refused':
<td>{{row.text}}</td>\\
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
<p class="body small dim">{{'{:,}'.format(preview.unlisted)}} more {{'row is' if preview.unlisted == 1 else 'rows are'}} not listed\\
% if preview.kind == 'same':
, because {{'it repeats' if preview.unlisted == 1 else 'they repeat'}} an earlier row\\
% end
.</p>
% end
% end
</section>
% include('pager.tpl', pager=preview.pager)
