% report = job.report
% done = job.state == 'done'
% refused = report.refusals
% count = '{:,}'.format
% if not done and report.encoding != 'UTF-8':
<div class="notice hint" role="note">
<p>Nothing was imported yet: the file is not in UTF-8. It was read as {{report.encoding}}\\
% if job.samples:
, where names look like this: {{', '.join(job.samples)}}. Apply the file only if these names are correct\\
% end
.</p>
</div>
% end
% if not done and report.unknown:
<div class="notice hint" role="note">
<p>{{'One column is' if len(report.unknown) == 1 else '%d columns are' % len(report.unknown)}} unknown and will be ignored: {{', '.join(report.unknown[:20])}}\\
% if len(report.unknown) > 20:
 and {{len(report.unknown) - 20}} more\\
% end
.</p>
</div>
% end
<div class="notice{{'' if done else ' bad' if refused else ' hint'}}" role="status">
% if done:
<p>Imported: {{report.summary}}.</p>
% elif refused:
<p>Nothing can be imported until the refused rows are corrected\\
% if report.lacks_update or report.lacks_passwords:
, or allowed below\\
% end
.</p>
% elif not (report.new or report.changed or report.same):
<p>The file has no rows.</p>
% elif not (report.new or report.changed):
<p>All rows exist already, with the same values.</p>
% else:
<p>Nothing is written yet. Applying the file makes these changes:</p>
% end
</div>
<div class="tiles counts">
% for word, number in (('new', report.new), ('changed', report.changed), ('same', report.same), ('refused', refused)):
<div class="tile"><p class="v">{{count(number)}}</p><p class="t">{{word}}</p></div>
% end
</div>
% if done and job.error:
<div class="notice bad" role="alert"><p>The import was not undone: {{job.error}}</p></div>
% end
% if passwords:
% include('import_passwords.tpl')
% elif report.passwords:
<section class="panel">
<p>{{count(len(report.passwords))}} generated {{'password' if len(report.passwords) == 1 else 'passwords'}} can be shown once. Afterwards there is no copy.</p>
% if len(report.passwords) > max_passwords:
<form method="post" action="/users/import/passwords.csv"><input type="hidden" name="number" value="{{job.number}}"><button>Download the passwords</button></form>
% else:
<a class="btn p" href="/users/import" role="button">Show the passwords</a>
% end
</section>
% elif done and report.generated:
<p class="small dim">The generated passwords were shown, and are not stored. You can set a new one on the page of each user.</p>
% end
% if done and (report.encoding != 'UTF-8' or report.unknown):
<p class="small dim">The file was read as {{report.encoding}}\\
% if report.unknown:
, without {{', '.join(report.unknown[:20])}}{{' and %d more columns' % (len(report.unknown) - 20) if len(report.unknown) > 20 else ''}}\\
% end
.</p>
% end
% if not done and report.generated:
<p class="small dim">{{count(report.generated)}} new {{'user has' if report.generated == 1 else 'users have'}} no password in the file. Each gets a generated one; they are shown once, after the file is applied.</p>
% end
% if report.weak:
<p class="small dim">{{count(report.weak)}} {{'password is' if report.weak == 1 else 'passwords are'}} weak: {{weak}}. {{'It is' if report.weak == 1 else 'They are'}} accepted.</p>
% end
% if report.notes and not done:
<ul class="plain small dim">
% for note in report.notes:
<li>{{note}}</li>
% end
</ul>
% end
% if report.remarks:
<section class="card">
<table class="plain">
<caption>Warnings\\
% warnings = len(report.remarks) + report.remarks_more
% if warnings > 100:
, the first 100 of {{count(warnings)}}\\
% end
</caption>
<thead><tr><th scope="col">Line</th><th scope="col">Warning</th></tr></thead>
<tbody>
% for line, text in report.remarks[:100]:
<tr><td>{{line}}</td><td>{{text}}</td></tr>
% end
</tbody>
</table>
</section>
% end
<div class="row">
% if not done and not refused and (report.new or report.changed):
<form class="inline" method="post" action="/users/import/apply"><input type="hidden" name="number" value="{{job.number}}"><button class="p long">{{job.apply_label}}</button></form>
% end
% for box, label in (('update', 'Let rows change users'), ('generate', 'Generate missing passwords')):
% if not done and {'update': report.lacks_update, 'generate': report.lacks_passwords}[box]:
<form class="inline" method="post" action="/users/import/change"><input type="hidden" name="number" value="{{job.number}}"><input type="hidden" name="{{box}}" value="yes"><button>{{label}}</button></form>
% end
% end
<form class="inline" method="post" action="/users/import/cancel"><input type="hidden" name="number" value="{{job.number}}"><button>{{'Import another' if done else 'Choose another file'}}</button></form>
% if done and report.undo_step:
<form class="inline" method="post" action="/users/import/undo"><input type="hidden" name="number" value="{{job.number}}"><button>Undo the import</button></form>
% end
% if done:
<a class="btn{{'' if passwords or report.passwords else ' p'}}" href="/users" role="button">Show the users</a>
% end
</div>
% if done and report.undo_step:
<p class="small dim">The import can be undone for an hour, here or under <a href="/users/undo">Recent changes</a>. New users are deleted then, changed users get their former values; users that were changed again since then stay as they are.</p>
% end
% if preview:
% include('import_rows.tpl')
% include('import_columns.tpl')
% end
