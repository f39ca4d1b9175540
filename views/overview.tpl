% rebase('layout.tpl', title='Overview')
<h1>Overview</h1>
<div id="live" hx-get="{{'/?refusals=all' if shows_all else '/'}}" hx-trigger="every 5s" hx-select="#live" hx-target="this" hx-swap="outerMorph">
<div class="cards">
<article>
<p class="figure" id="accounts">{{'{:,}'.format(accounts)}}</p>
<p><a href="/users">{{'user' if accounts == 1 else 'users'}}</a></p>
</article>
<article>
<p class="figure" id="online">{{'{:,}'.format(online)}}</p>
<p><a href="/users?status=online">{{'user has a phone' if online == 1 else 'users have a phone'}} online</a></p>
</article>
</div>
% if warnings:
<h2>Warnings</h2>
% for warning, remedy in warnings:
<div class="notice hint"><p><strong>{{warning}}</strong> {{remedy}}</p></div>
% end
% end
% if refusals:
<section aria-labelledby="refused-title">
<h2 id="refused-title">Recently refused</h2>
% include('refusals.tpl', rows=refusals if shows_all else refusals[:some], label='Refused registrations and calls, the latest first')
% if len(refusals) > some and not shows_all:
<p><a href="/?refusals=all">Show all {{len(refusals)}}</a></p>
% end
</section>
% end
% if not accounts:
<article class="panel">
<h2>Add the first user</h2>
<p>Every phone needs an account.</p>
<p><a href="/users/new" role="button">Add a user</a> <a href="/users/import" role="button" class="secondary outline">Import a list</a></p>
</article>
% end
% if not online:
<article class="panel">
<h2>No phone is registered yet</h2>
<p>Enter these settings in a phone, here for {{'the user' if first else 'the example user'}} <strong>{{settings.username}}</strong>:</p>
% include('phone.tpl', settings=settings)
<p class="muted">A phone appears here as soon as it has registered. If it does not, this page and the log of the server show the reason.</p>
</article>
% end
</div>
<article class="panel">
<h2>This server</h2>
<dl class="settings">
<dt>SIP</dt><dd>
% for address, transports in listening.items():
<div><span class="mono">{{address}}</span> {{', '.join(transports)}}</div>
% end
</dd>
<dt>Realm</dt><dd class="mono">{{config.sip_realm}}</dd>
<dt>Database</dt><dd class="mono">{{config.db_path}}</dd>
</dl>
</article>
