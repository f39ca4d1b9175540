% rebase('layout.tpl', title='Bans')
<h1>Bans</h1>
<p>An address that guesses passwords is not heard for a while: ten minutes at first, four times as long each time after, a day at most.
Its phones that are registered go on.</p>
<section id="banned" aria-label="Banned addresses" hx-get="/bans" hx-trigger="every 10s" hx-select="#banned" hx-select-oob="#waiting" hx-target="this" hx-swap="outerMorph">
% if not bans:
<div class="empty"><p>Nobody is banned.</p></div>
% else:
<table class="cards-when-narrow" aria-label="Banned addresses">
<thead>
<tr><th scope="col">Address</th><th scope="col">Why</th><th scope="col">Since</th><th scope="col">Ends in</th><th scope="col">Bans so far</th><th scope="col">What to do</th></tr>
</thead>
<tbody>
% for ban in bans:
<tr id="ban-{{ban.address}}">
<td data-label="Address" class="whole mono">{{ban.address}}</td>
<td data-label="Why">{{ban.reason}}</td>
<td data-label="Since"><time datetime="{{moment(ban.banned_at)}}" title="{{moment(ban.banned_at)}}">{{ago(ban.banned_at, now)}}</time></td>
<td data-label="Ends in">{{span(ban.ends_at - now)}}</td>
<td data-label="Bans so far">{{ban.times}}</td>
<td data-label="What to do" class="whole">
<div class="row">
<form class="inline" method="post" action="/bans/remove"><input type="hidden" name="address" value="{{ban.address}}"><button class="small" aria-label="Unban {{ban.address}}">Unban</button></form>
<form class="inline" method="post" action="/bans/trust"><input type="hidden" name="network" value="{{ban.address}}"><button class="small secondary outline" aria-label="Trust {{ban.address}}">Trust</button></form>
</div>
</td>
</tr>
% end
</tbody>
</table>
% end
</section>
<section id="waiting" aria-label="Users who have to wait">
<h2>Users who have to wait</h2>
<p>After five wrong passwords for a user from an address no further one is looked at from there. Elsewhere the user is let in as ever.</p>
% if not waits:
<div class="empty"><p>No user has to wait.</p></div>
% else:
% include('waits.tpl', rows=waits[:most_waits], action='/bans/forgive')
% if len(waits) > most_waits:
<p class="muted">and {{'{:,}'.format(len(waits) - most_waits)}} more</p>
% end
% end
</section>
<h2>Trusted networks</h2>
<p>What comes from these is never limited or banned, whatever it does. A gateway belongs here, and perhaps an office whose phones share an address.</p>
% if configured or trusted:
<ul class="plain" role="list" aria-label="Trusted networks">
% for network in configured:
<li class="row"><span class="mono">{{network}}</span> <span class="muted">by <code>-guard.trusted</code></span></li>
% end
% for network in trusted:
<li class="row"><span class="mono">{{network}}</span>
<form class="inline" method="post" action="/bans/distrust"><input type="hidden" name="network" value="{{network}}"><button class="small secondary outline" aria-label="Remove {{network}}">Remove</button></form></li>
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
<button class="secondary">Trust it</button>
</form>
