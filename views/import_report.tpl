% report = job.report
% done = job.state == 'done'
% refused = report.refusals
% if not done and report.encoding != 'UTF-8':
<div class="notice hint" role="note">
% if job.samples:
<p>{{_('Nothing was imported yet: the file is not in UTF-8. It was read as {encoding}, where names look like this: {names}. Apply the file only if these names are correct.').format(encoding=report.encoding, names=', '.join(job.samples))}}</p>
% else:
<p>{{_('Nothing was imported yet: the file is not in UTF-8. It was read as {encoding}.').format(encoding=report.encoding)}}</p>
% end
</div>
% end
% unknown = some_of(report.unknown[:20], len(report.unknown))
% if not done and report.unknown:
<div class="notice hint" role="note">
<p>{{ngettext('One column is unknown and will be ignored: {names}.', '{count} columns are unknown and will be ignored: {names}.', len(report.unknown)).format(count=len(report.unknown), names=unknown)}}</p>
</div>
% end
<div class="notice{{'' if done else ' bad' if refused else ' hint'}}" role="status">
% if done:
<p>{{_('Imported: {summary}.').format(summary=summary)}}</p>
% elif refused:
<p>{{_('Nothing can be imported until the refused rows are corrected, or allowed below.') if report.lacks_update or report.lacks_passwords else _('Nothing can be imported until the refused rows are corrected.')}}</p>
% elif not (report.new or report.changed or report.same):
<p>{{_('The file has no rows.')}}</p>
% elif not (report.new or report.changed):
<p>{{_('All rows exist already, with the same values.')}}</p>
% else:
<p>{{_('Nothing is written yet. Applying the file makes these changes:')}}</p>
% end
</div>
<div class="tiles counts">
% for word, rows in ((_('new'), report.new), (_('changed'), report.changed), (_('same'), report.same), (_('refused'), refused)):
<div class="tile"><p class="v">{{thousands(rows)}}</p><p class="t">{{word}}</p></div>
% end
</div>
% if done and job.error:
<div class="notice bad" role="alert"><p>{{_('The import was not undone: {reason}').format(reason=job.error_text)}}</p></div>
% end
% if passwords:
% include('import_passwords.tpl')
% elif report.passwords:
<section class="panel">
<p>{{ngettext('{count} generated password can be shown once. Afterwards there is no copy.', '{count} generated passwords can be shown once. Afterwards there is no copy.', len(report.passwords)).format(count=thousands(len(report.passwords)))}}</p>
% if len(report.passwords) > max_passwords:
<form method="post" action="/users/import/passwords.csv"><input type="hidden" name="number" value="{{job.number}}"><button>{{_('Download the passwords')}}</button></form>
% else:
<a class="btn p" href="/users/import" role="button">{{_('Show the passwords')}}</a>
% end
</section>
% elif done and report.generated:
<p class="small dim">{{_('The generated passwords were shown, and are not stored. You can set a new one on the page of each user.')}}</p>
% end
% if done and (report.encoding != 'UTF-8' or report.unknown):
<p class="small dim">{{(_('The file was read as {encoding}, without {names}.') if report.unknown else _('The file was read as {encoding}.')).format(encoding=report.encoding, names=unknown)}}</p>
% end
% if not done and report.generated:
<p class="small dim">{{ngettext('{count} new user has no password in the file. Each gets a generated one; they are shown once, after the file is applied.', '{count} new users have no password in the file. Each gets a generated one; they are shown once, after the file is applied.', report.generated).format(count=thousands(report.generated))}}</p>
% end
% if report.weak:
<p class="small dim">{{ngettext('{count} password is weak: {reason}. It is accepted.', '{count} passwords are weak: {reason}. They are accepted.', report.weak).format(count=thousands(report.weak), reason=translated(weak))}}</p>
% end
% if report.notes and not done:
<ul class="plain small dim">
% for note in report.notes:
<li>{{translated(note)}}</li>
% end
</ul>
% end
% if report.remarks:
<section class="card">
<table class="plain">
% warnings = len(report.remarks) + report.remarks_more
<caption>{{_('Warnings, the first {some} of {count}').format(some=100, count=thousands(warnings)) if warnings > 100 else _('Warnings')}}</caption>
<thead><tr><th scope="col">{{_('Line')}}</th><th scope="col">{{_('Warning')}}</th></tr></thead>
<tbody>
% for line, text in report.remarks[:100]:
<tr><td>{{line}}</td><td>{{translated(text)}}</td></tr>
% end
</tbody>
</table>
</section>
% end
<div class="row">
% if not done and not refused and (report.new or report.changed):
<form class="inline" method="post" action="/users/import/apply"><input type="hidden" name="number" value="{{job.number}}"><button class="p long">{{job.apply_label}}</button></form>
% end
% for box, label in (('update', _('Let rows change users')), ('generate', _('Generate missing passwords'))):
% if not done and {'update': report.lacks_update, 'generate': report.lacks_passwords}[box]:
<form class="inline" method="post" action="/users/import/change"><input type="hidden" name="number" value="{{job.number}}"><input type="hidden" name="{{box}}" value="yes"><button>{{label}}</button></form>
% end
% end
<form class="inline" method="post" action="/users/import/cancel"><input type="hidden" name="number" value="{{job.number}}"><button>{{_('Import another') if done else _('Choose another file')}}</button></form>
% if done and report.undo_step:
<form class="inline" method="post" action="/users/import/undo"><input type="hidden" name="number" value="{{job.number}}"><button>{{_('Undo the import')}}</button></form>
% end
% if done:
<a class="btn{{'' if passwords or report.passwords else ' p'}}" href="/users" role="button">{{_('Show the users')}}</a>
% end
</div>
% if done and report.undo_step:
<p class="small dim">{{rich(_('The import can be undone for an hour, here or under <changes>Recent changes</changes>. New users are deleted then, changed users get their former values; users that were changed again since then stay as they are.'), {'changes': '/users/undo'})}}</p>
% end
% if preview:
% include('import_rows.tpl')
% include('import_columns.tpl')
% end
