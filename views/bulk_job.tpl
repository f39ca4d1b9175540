% rebase('layout.tpl', title=_('Change users'))
<p class="small"><a href="/users{{list_query}}">{{_('Back to the list')}}</a></p>
<div class="head"><h1>{{_('Change users')}}</h1></div>
<div id="job" class="stack"\\
% if job.is_working:
 hx-get="/users/act{{list_query}}" hx-trigger="every 1s" hx-select="#job" hx-target="this" hx-swap="outerHTML"\\
% end
>
% if job.is_working:
<section class="panel" role="status">
<p>{{_('{done} of {total} users are done.').format(done=thousands(job.done), total=thousands(job.total))}}</p>
<progress aria-label="{{_('Changing the users')}}" max="{{job.total}}" value="{{job.done}}"></progress>
</section>
% elif job.error:
<div class="notice bad" role="alert"><p>{{_('No user was changed: {reason}').format(reason=translated(job.error))}}</p></div>
% elif not job.changed.step:
<div class="notice" role="status"><p>{{_('No user was changed: all were as wanted already, or were deleted meanwhile.')}}</p></div>
% else:
% if step:
% include('undo_banner.tpl', step=step)
% else:
<div class="notice" role="status"><p>{{_('This change was undone, or is over an hour old.')}}</p></div>
% end
% if passwords:
% include('import_passwords.tpl')
% elif job.changed.passwords:
<section class="panel">
<h2>{{_('New passwords')}}</h2>
<p><strong>{{_('They can be saved only once, and are not stored.')}}</strong></p>
<form method="post" action="/users/act/passwords.csv"><input type="hidden" name="number" value="{{job.number}}"><button class="p">{{ngettext('Save {count} password as CSV', 'Save {count} passwords as CSV', len(job.changed.passwords)).format(count=thousands(len(job.changed.passwords)))}}</button></form>
</section>
% elif job.act == 'passwords':
<p>{{_('The new passwords were shown. There is no copy of them.')}}</p>
% end
% end
</div>
