% columns = job.columns
<section class="card">
<form method="post" action="/users/import/columns">
<details{{' open' if job.state == 'columns' or columns.is_kept or len(columns.header) <= 12 else ''}}>
<summary>Columns of the file: {{columns.used}} of {{len(columns.columns)}} used\\
% if columns.is_kept:
, as chosen for an earlier file\\
% end
</summary>
<input type="hidden" name="number" value="{{job.number}}">
<div class="body">
<label>The first line of the file
<select name="header">
<option value="yes">has the names of the columns</option>
<option value="no"{{'' if columns.has_header else ' selected'}}>is a row: there is no header</option>
</select>
</label>
</div>
<table class="cards-when-narrow" aria-label="Columns of the file">
<thead><tr><th scope="col">Column</th><th scope="col">Values</th><th scope="col">Taken for</th></tr></thead>
<tbody>
% for column in columns.columns:
<tr>
<th scope="row" data-label="Column">{{column.title}}</th>
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
<div class="body"><button>Use these columns</button></div>
</details>
</form>
</section>
