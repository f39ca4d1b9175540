% columns = job.columns
<section class="panel">
<form method="post" action="/users/import/columns">
<details{{' open' if job.state == 'columns' or columns.is_kept or len(columns.header) <= 12 else ''}}>
<summary>{{(_('Columns of the file: {used} of {total} used, as chosen for an earlier file') if columns.is_kept else _('Columns of the file: {used} of {total} used')).format(used=columns.used, total=len(columns.columns))}}</summary>
<input type="hidden" name="number" value="{{job.number}}">
<label>{{_('The first line of the file')}}
<select name="header">
<option value="yes">{{_('has the names of the columns')}}</option>
<option value="no"{{'' if columns.has_header else ' selected'}}>{{_('is a row: there is no header')}}</option>
</select>
</label>
<table class="cards-when-narrow" aria-label="{{_('Columns of the file')}}">
<thead><tr><th scope="col">{{_('Column')}}</th><th scope="col">{{_('Values')}}</th><th scope="col">{{_('Taken for')}}</th></tr></thead>
<tbody>
% shown = columns.shown
% for column in shown:
<tr>
<td data-label="{{_('Column')}}">{{column.title}}</td>
<td data-label="{{_('Values')}}" class="dim">{{', '.join(column.samples) or _('empty')}}</td>
<td data-label="{{_('Taken for')}}"><select name="{{column.key}}" aria-label="{{_('{column} is taken for').format(column=column.title)}}">
% for value, label in options:
<option value="{{value}}"{{' selected' if value == column.field else ''}}>{{_(label)}}</option>
% end
</select></td>
</tr>
% end
</tbody>
</table>
% if len(shown) < len(columns.columns):
<p class="small dim">{{ngettext('{count} more column is left out. To use it, remove other columns from the file.', '{count} more columns are left out. To use one of them, remove other columns from the file.', len(columns.columns) - len(shown)).format(count=len(columns.columns) - len(shown))}}</p>
% end
<button class="{{'p' if job.state == 'columns' else ''}}">{{_('Use these columns')}}</button>
</details>
</form>
</section>
