% rebase('layout.tpl', title='Import users')
<h1>Import users</h1>
<div id="import"\\
% if job and job.is_working:
 hx-get="/users/import" hx-trigger="every 1s" hx-select="#import" hx-target="this" hx-swap="outerHTML"\\
% end
>
% if error:
<div class="notice bad" role="alert"><p>{{error}}</p></div>
% end
% if not job:
<article class="panel">
<form method="post" action="/users/import" enctype="multipart/form-data">
<div class="field">
<label for="file">CSV file</label>
<input type="file" id="file" name="file" accept=".csv,text/csv,text/plain" aria-describedby="file-hint">
<p class="help" id="file-hint">Up to {{max_megabytes}} MB, in UTF-8, with commas or semicolons.</p>
</div>
<label>Or paste the rows here
<textarea name="text" rows="8" spellcheck="false" placeholder="username,password,display_name&#10;alice,wonder-4711,Alice Liddell&#10;101,8842,Front door"></textarea>
</label>
<label><input type="checkbox" name="update" value="yes"> Rows may change users who exist</label>
<button>Look at it first</button>
<p class="muted">Nothing is written before you have seen what would happen.</p>
</form>
</article>
<article class="panel">
<h2>What a file holds</h2>
<p>The first line names the columns: <code>username</code> and one of <code>password</code> or <code>ha1</code>
(the MD5 digest of <code>name:realm:password</code>); <code>realm</code>, <code>display_name</code>, <code>enabled</code>,
<code>ha1_sha256</code> and <code>ha1_sha512_256</code> may follow. All rows are taken, or none.</p>
</article>
% elif job.state == 'reading':
<article class="panel" role="status">
<p>Reading: {{'{:,}'.format(job.rows_read)}} rows so far.</p>
<progress aria-label="Reading the file"></progress>
</article>
% elif job.state == 'applying':
<article class="panel" role="status">
<p>Writing {{'{:,}'.format(job.report.new + job.report.changed)}} users.</p>
<progress aria-label="Writing the users"></progress>
</article>
% elif job.state == 'failed':
<div class="notice bad" role="alert"><p>Nothing was imported: {{job.error}}</p></div>
<form method="post" action="/users/import/cancel"><input type="hidden" name="number" value="{{job.number}}"><button>Try another file</button></form>
% else:
% report = job.report
% done = job.state == 'done'
% refused = report.refusals
<div class="notice{{'' if done else ' bad' if refused else ' hint'}}" role="status">
% if done:
<p>Imported: {{'{:,}'.format(report.new)}} new, {{'{:,}'.format(report.changed)}} changed.</p>
% elif refused:
<p>Nothing can be imported before the refused rows are mended\\
% if not job.update:
, or, where a row would change a user, before you allow that\\
% end
.</p>
% elif not (report.new or report.changed or report.same):
<p>The file has no rows.</p>
% elif not (report.new or report.changed):
<p>Every row is here already, just as it is in the file.</p>
% else:
<p>Nothing is written yet. This is what applying the file does:</p>
% end
</div>
<div class="cards counts">
% for word, count in (('new', report.new), ('changed', report.changed), ('same', report.same), ('refused', refused)):
<article><p class="figure">{{'{:,}'.format(count)}}</p><p>{{word}}</p></article>
% end
</div>
% if report.weak:
<p class="muted">{{'{:,}'.format(report.weak)}} weak passwords: {{weak}}. They are taken.</p>
% end
% if refused:
<table>
<caption class="muted">Refused rows\\
% if refused > 100:
, the first 100 of {{'{:,}'.format(refused)}}\\
% end
</caption>
<thead><tr><th scope="col">Line</th><th scope="col">Reason</th></tr></thead>
<tbody>
% for line, reason in report.refused[:100]:
<tr><td>{{line}}</td><td>{{reason}}</td></tr>
% end
</tbody>
</table>
% end
<div class="row">
% if not done and not refused and (report.new or report.changed):
<form class="inline" method="post" action="/users/import/apply"><input type="hidden" name="number" value="{{job.number}}"><button>Apply</button></form>
% end
<form class="inline" method="post" action="/users/import/cancel"><input type="hidden" name="number" value="{{job.number}}"><button class="secondary outline">{{'Import another' if done else 'Choose another file'}}</button></form>
% if done:
<a href="/users" role="button">Show the users</a>
% end
</div>
% end
</div>
