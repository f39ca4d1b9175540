% rebase('layout.tpl', title='Overview')
<div class="head">
<h1>Overview</h1>
<span class="sp"></span>
<a class="btn p" href="/users/new" role="button">Add a user</a>
</div>
<div id="live" class="stack" hx-get="{{'/?refusals=all' if shows_all else '/'}}" hx-trigger="every 5s" hx-select="#live" hx-target="this" hx-swap="outerMorph">
<div class="tiles">
<div class="tile">
<p class="v" id="accounts">{{'{:,}'.format(accounts)}}</p>
<p class="t"><a href="/users">{{'user' if accounts == 1 else 'users'}}</a></p>
</div>
<div class="tile">
<p class="v" id="online">{{'{:,}'.format(online)}}</p>
<p class="t"><a href="/users?status=online">{{'user has a phone' if online == 1 else 'users have a phone'}} online</a></p>
</div>
</div>
% if warnings:
<section class="card">
<header><h2>Warnings</h2></header>
% for warning, remedy in warnings:
<div class="issue"><span class="ic warn" aria-hidden="true"></span><p>{{warning}}</p><p class="small dim">{{remedy}}</p></div>
% end
</section>
% end
% if refusals:
<section class="card" aria-labelledby="refused-title">
<header>
<h2 id="refused-title">Recently refused</h2>
<span class="sp"></span>
% if len(refusals) > some and not shows_all:
<a class="small" href="/?refusals=all">Show all {{len(refusals)}}</a>
% end
</header>
% include('refusals.tpl', rows=refusals if shows_all else refusals[:some], label='Refused registrations and calls, the latest first')
</section>
% end
% if not accounts:
<section class="card">
<header><h2>Add the first user</h2></header>
<div class="body">
<p>Every phone needs an account. Add one user, or <a href="/users/import">import a list</a>.</p>
</div>
</section>
% end
% if not online:
<section class="card">
<header><h2>No phone is registered yet</h2></header>
<div class="body">
<p>Enter these settings in a phone, here for {{'the user' if first else 'the example user'}} <strong>{{settings.username}}</strong>:</p>
% include('phone.tpl', settings=settings)
<p class="small dim">A phone appears here as soon as it has registered. If it does not, this page and the log of the server show the reason.</p>
</div>
</section>
% end
<section class="card">
<header><h2>This server</h2></header>
<dl class="kv body">
<dt>SIP</dt><dd>
% for address, transports in listening.items():
<div><span class="mono">{{address}}</span> {{', '.join(transports)}}</div>
% end
</dd>
<dt>Realm</dt><dd class="mono">{{config.sip_realm}}</dd>
<dt>Database</dt><dd class="mono">{{config.db_path}}</dd>
</dl>
</section>
</div>
