% columns = job.columns
<section class="panel">
<form method="post" action="/users/import/columns">
<details{{' open' if job.state == 'columns' or columns.is_kept or len(columns.header) <= 12 else ''}}>
<summary>Columns of the file: {{columns.used}} of {{len(columns.columns)}} used\\
% if columns.is_kept:
, as chosen for an earlier file\\
% end
</summary>
<input type="hidden" name="number" value="{{job.number}}">
<label>The first line of the file
<select name="header">
<option value="yes">has the names of the columns</option>
<option value="no"{{'' if columns.has_header else ' selected'}}>is a row: there is no header</option>
</select>
</label>
<table class="cards-when-narrow" aria-label="Columns of the file">
<thead><tr><th scope="col">Column</th><th scope="col">Values</th><th scope="col">Taken for</th></tr></thead>
<tbody>
% shown = columns.shown
% for column in shown:
<tr>
<td data-label="Column">{{column.title}}</td>
<td data-label="Values" class="dim">{{', '.join(column.samples) or 'empty'}}</td>
<td data-label="Taken for"><select name="{{column.key}}" aria-label="{{column.title}} is taken for">
% for value, label in options:
<option value="{{value}}"{{' selected' if value == column.field else ''}}>{{label}}</option>
% end
</select></td>
</tr>
% end
</tbody>
</table>
% if len(shown) < len(columns.columns):
<p class="small dim">{{len(columns.columns) - len(shown)}} more columns are left out. To use one of them, remove other columns from the file.</p>
% end
<button class="{{'p' if job.state == 'columns' else ''}}">Use these columns</button>
</details>
</form>
</section>
