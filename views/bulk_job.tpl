% rebase('layout.tpl', title='Change users')
<p class="small"><a href="/users{{list_query}}">Back to the list</a></p>
<div class="head"><h1>Change users</h1></div>
<div id="job" class="stack"\\
% if job.is_working:
 hx-get="/users/act{{list_query}}" hx-trigger="every 1s" hx-select="#job" hx-target="this" hx-swap="outerHTML"\\
% end
>
% if job.is_working:
<section class="panel" role="status">
<p>{{'{:,}'.format(job.done)}} of {{'{:,}'.format(job.total)}} users are done.</p>
<progress aria-label="Changing the users" max="{{job.total}}" value="{{job.done}}"></progress>
</section>
% elif job.error:
<div class="notice bad" role="alert"><p>No user was changed: {{job.error}}</p></div>
% elif not job.changed.step:
<div class="notice" role="status"><p>No user was changed: all were as wanted already, or were deleted meanwhile.</p></div>
% else:
% if step:
% include('undo_banner.tpl', step=step)
% else:
<div class="notice" role="status"><p>This change was undone, or is over an hour old.</p></div>
% end
% if passwords:
% include('import_passwords.tpl')
% elif job.changed.passwords:
<section class="panel">
<h2>New passwords</h2>
<p><strong>They can be saved only once, and are not stored.</strong> After 15 minutes they are removed.</p>
<form method="post" action="/users/act/passwords.csv"><input type="hidden" name="number" value="{{job.number}}"><button class="p">Save {{'{:,}'.format(len(job.changed.passwords))}} passwords as CSV</button></form>
</section>
% elif job.act == 'passwords':
<p>The new passwords were shown. There is no copy of them.</p>
% end
% end
</div>
