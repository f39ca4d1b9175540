% rebase('layout.tpl', title='Bans')
<div class="head"><h1>Bans</h1></div>
<p class="dim">An address that guesses passwords is banned: for ten minutes the first time, then four times as long each time, for a day at most.
Phones that are registered from that address keep working.</p>
<section class="card" id="banned" aria-label="Banned addresses" hx-get="/bans" hx-trigger="every 10s" hx-select="#banned" hx-select-oob="#waiting" hx-target="this" hx-swap="outerMorph">
% if not bans:
<p class="empty">No address is banned.</p>
% else:
<table class="cards-when-narrow" aria-label="Banned addresses">
<thead>
<tr><th scope="col">Address</th><th scope="col">Why</th><th scope="col">Since</th><th scope="col">Ends in</th><th scope="col">Bans so far</th><th scope="col">Action</th></tr>
</thead>
<tbody>
% for ban in bans:
<tr id="ban-{{ban.address}}">
<td data-label="Address" class="whole"><span class="mono">{{ban.address}}</span></td>
<td data-label="Why">{{ban.reason}}</td>
<td data-label="Since"><time datetime="{{moment(ban.banned_at)}}" title="{{moment(ban.banned_at)}}">{{ago(ban.banned_at, now)}}</time></td>
<td data-label="Ends in">{{span(ban.ends_at - now)}}</td>
<td data-label="Bans so far">{{ban.times}}</td>
<td data-label="Action" class="whole">
<div class="row">
<form class="inline" method="post" action="/bans/remove"><input type="hidden" name="address" value="{{ban.address}}"><button class="s" aria-label="Unban {{ban.address}}">Unban</button></form>
<form class="inline" method="post" action="/bans/trust"><input type="hidden" name="network" value="{{ban.address}}"><button class="s" aria-label="Trust {{ban.address}}">Trust</button></form>
</div>
</td>
</tr>
% end
</tbody>
</table>
% end
</section>
<section class="card" id="waiting" aria-label="Blocked logins">
<header><h2>Blocked logins</h2></header>
<p class="body small dim">After five wrong passwords for a user from one address, logins of that user from that address are blocked for a while. From other addresses the user can still log in.</p>
% if not blocked:
<p class="empty">No login is blocked.</p>
% else:
% include('blocked_logins.tpl', rows=blocked[:max_blocked], action='/bans/forgive')
% if len(blocked) > max_blocked:
<p class="body small dim">and {{'{:,}'.format(len(blocked) - max_blocked)}} more</p>
% end
% end
</section>
<section class="card">
<header><h2>Trusted networks</h2></header>
<div class="body">
<p class="small dim">Addresses in these networks are never rate-limited or banned. Add a gateway here, and an office whose phones share one address.</p>
% if configured or trusted:
<ul class="plain" role="list" aria-label="Trusted networks">
% for each in configured:
<li class="row"><span class="mono">{{each}}</span> <span class="muted">set by <code>-guard.trusted</code></span></li>
% end
% for each in trusted:
<li class="row"><span class="mono">{{each}}</span>
<form class="inline" method="post" action="/bans/distrust"><input type="hidden" name="network" value="{{each}}"><button class="s" aria-label="Remove {{each}}">Remove</button></form></li>
% end
</ul>
% end
<form method="post" action="/bans/trust" class="row" aria-label="Trust a network">
<label class="grow">Address or network
<input name="network" value="{{network}}" placeholder="192.168.0.0/16" autocomplete="off" spellcheck="false" maxlength="60" required\\
% if error:
 aria-invalid="true" aria-describedby="network-error"\\
% end
>
% if error:
<span class="field-error" id="network-error">{{error}}</span>
% end
</label>
<button>Trust it</button>
</form>
</div>
</section>
