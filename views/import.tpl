% rebase('layout.tpl', title=_('Import users'))
<p class="small"><a href="/users">{{_('Back to all users')}}</a></p>
<div class="head"><h1>{{_('Import users')}}</h1></div>
<div id="import" class="stack"\\
% if job and job.is_working:
 hx-get="/users/import" hx-trigger="every 1s" hx-select="#import" hx-target="this" hx-swap="outerHTML"\\
% end
>
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% end
% if not job:
<section class="panel">
<form method="post" action="/users/import" enctype="multipart/form-data">
<div class="field">
<label for="file">{{_('CSV file')}}</label>
<input type="file" id="file" name="file" accept=".csv,text/csv,text/plain" aria-describedby="file-hint">
<p class="help" id="file-hint">{{_('Up to {count} MB, separated by commas, semicolons or tabs, preferably in UTF-8. UTF-16 and Windows-1252 also work.').format(count=max_megabytes)}}</p>
</div>
<label>{{_('Or paste the rows here')}}
<textarea name="text" rows="8" spellcheck="false" placeholder="username,password,display_name&#10;alice,wonder-4711,Alice Liddell&#10;101,8842,Front door"></textarea>
</label>
<label><input type="checkbox" name="update" value="yes"> {{_('Rows may change users that exist already')}}</label>
<label><input type="checkbox" name="generate" value="yes"> {{_('Generate passwords for new users without one')}}</label>
<button class="p">{{_('Look at it first')}}</button>
<p class="small dim">{{_('The next page shows what would change. Nothing is written before you apply it.')}}</p>
</form>
</section>
<section class="panel">
<h2>{{_('Columns of the file')}}</h2>
<p>{{rich(_('The first line names the columns. Required are <code>username</code>, and <code>password</code> or <code>ha1</code> (the MD5 digest of <code>name:realm:password</code>). Optional are <code>realm</code>, <code>display_name</code>, <code>enabled</code>, <code>ha1_sha256</code>, <code>ha1_sha512_256</code>, <code>aliases</code>, <code>dnd</code>, <code>forward_always</code>, <code>forward_busy</code>, <code>forward_no_answer</code>, <code>forward_no_answer_seconds</code> and <code>forward_offline</code>. Either all rows are imported, or none.'))}}</p>
<p>{{rich(_('Common column names of other systems are accepted too, such as <code>Extension</code>, <code>Secret</code> or <code>Display Name</code>. The next page shows what each column is taken for. You can change that there, also for a file without a header line; the next file with the same header is read in the same way.'))}}</p>
</section>
% elif job.state == 'reading':
<section class="panel" role="status">
<p>{{_('Reading the file: {count} rows so far.').format(count=thousands(job.rows_read))}}</p>
<progress aria-label="{{_('Reading the file')}}"></progress>
</section>
% elif job.state == 'applying':
<section class="panel" role="status">
<p>{{_('Writing {count} users.').format(count=thousands(job.report.new + job.report.changed))}}</p>
<progress aria-label="{{_('Writing the users')}}"></progress>
</section>
% elif job.state == 'undoing':
<section class="panel" role="status">
<p>{{_('Undoing the import of {count} users.').format(count=thousands(job.report.new + job.report.changed))}}</p>
<progress aria-label="{{_('Undoing the import')}}"></progress>
</section>
% elif job.state == 'undone':
<div class="notice" role="status"><p>{{job.error_text}}</p></div>
<form method="post" action="/users/import/cancel"><input type="hidden" name="number" value="{{job.number}}"><button class="p">{{_('Import another')}}</button></form>
% elif job.state == 'columns':
<div class="notice bad" role="alert"><p>{{_('Nothing was imported yet: {reason} Choose which column is which.').format(reason=job.error_text)}}</p></div>
% include('import_columns.tpl')
<form method="post" action="/users/import/cancel"><input type="hidden" name="number" value="{{job.number}}"><button>{{_('Choose another file')}}</button></form>
% elif job.state == 'failed':
<div class="notice bad" role="alert"><p>{{_('Nothing was imported: {reason}').format(reason=job.error_text)}}</p></div>
<form method="post" action="/users/import/cancel"><input type="hidden" name="number" value="{{job.number}}"><button class="p">{{_('Try another file')}}</button></form>
% else:
% include('import_report.tpl')
% end
</div>
