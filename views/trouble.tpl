% rebase('layout.tpl', title=_('Trouble'))
<div class="head"><h1>{{_('Trouble')}}</h1></div>
<div id="live" class="stack" hx-get="{{'/trouble?refusals=all' if shows_all else '/trouble'}}" hx-trigger="every 5s" hx-select="#live" hx-target="this" hx-swap="outerMorph">
<section class="card" aria-labelledby="refused-title">
<header><h2 id="refused-title">{{_('Cannot register or call')}}</h2><span class="sp"></span><span class="small dim">{{thousands(len(refusals)) if refusals else ''}}</span></header>
% if not refusals:
<p class="empty">{{_('No registration or call was refused since the start of the server.')}}</p>
% else:
% include('refusals.tpl', rows=refusals if shows_all else refusals[:some], label=_('Refused registrations and calls, the latest first'), waiting=waiting, network_of=network_of)
% if len(refusals) > some and not shows_all:
<div class="body"><p><a href="/trouble?refusals=all">{{_('Show all {count}').format(count=thousands(len(refusals)))}}</a></p></div>
% end
% end
</section>
<section class="card" id="waiting" aria-labelledby="waiting-title">
<header><h2 id="waiting-title">{{_('Have to wait')}}</h2><span class="sp"></span><span class="small dim">{{thousands(len(blocked)) if blocked else ''}}</span></header>
<div class="body"><p class="small dim">{{_('After five wrong passwords for a user from one address, passwords of that user are not checked there for a while. From other addresses the user can still log in.')}}</p>
% if not blocked:
<p>{{_('No login is blocked.')}}</p>
% end
</div>
% if blocked:
% include('blocked_logins.tpl', rows=blocked[:max_blocked], action='/bans/forgive')
% if len(blocked) > max_blocked:
<div class="body"><p class="dim">{{_('and {count} more').format(count=thousands(len(blocked) - max_blocked))}}</p></div>
% end
% end
</section>
<section class="card" id="banned" aria-labelledby="banned-title">
<header><h2 id="banned-title">{{_('Banned')}}</h2><span class="sp"></span><span class="small dim">{{thousands(len(bans)) if bans else ''}}</span></header>
<div class="body"><p class="small dim">{{_('An address that guesses passwords is banned: for ten minutes the first time, then four times as long each time, for a day at most. Phones that are registered from that address keep working.')}}</p>
% if not bans:
<p>{{_('No address is banned.')}}</p>
% end
</div>
% if bans:
<table class="cards-when-narrow" aria-label="{{_('Banned addresses')}}">
<thead>
<tr><th scope="col">{{_('Address')}}</th><th scope="col">{{_('Why')}}</th><th scope="col">{{_('Since')}}</th><th scope="col">{{_('Ends in')}}</th><th scope="col">{{_('Bans so far')}}</th>\\
% if can_change:
<th scope="col">{{_('Action')}}</th>\\
% end
</tr>
</thead>
<tbody>
% for ban in bans:
<tr id="ban-{{ban.address}}">
<td data-label="{{_('Address')}}" class="whole"><span class="mono">{{ban.address}}</span></td>
<td data-label="{{_('Why')}}">{{translated(ban.reason)}}</td>
<td data-label="{{_('Since')}}"><time datetime="{{moment(ban.banned_at)}}" title="{{moment(ban.banned_at)}}">{{ago(ban.banned_at, now)}}</time></td>
<td data-label="{{_('Ends in')}}" class="num">{{span(ban.ends_at - now)}}</td>
<td data-label="{{_('Bans so far')}}" class="num">{{ban.times}}</td>
% if can_change:
<td data-label="{{_('Action')}}" class="whole">
<div class="row">
<form class="inline" method="post" action="/bans/remove"><input type="hidden" name="address" value="{{ban.address}}"><button class="btn s" aria-label="{{_('Unban {address}').format(address=ban.address)}}">{{_('Unban')}}</button></form>
<form class="inline" method="post" action="/bans/trust"><input type="hidden" name="network" value="{{ban.address}}"><button class="btn s" aria-label="{{_('Trust {address}').format(address=ban.address)}}">{{_('Trust')}}</button></form>
</div>
</td>
% end
</tr>
% end
</tbody>
</table>
% end
</section>
</div>
<section class="card" id="trusted" aria-labelledby="trusted-title">
<header><h2 id="trusted-title">{{_('Trusted networks')}}</h2></header>
<div class="body">
<p class="small dim">{{_('Addresses in these networks are never rate-limited or banned. Add a gateway here, and an office whose phones share one address.')}}</p>
% if configured or trusted:
<ul class="plain" role="list" aria-label="{{_('Trusted networks')}}">
% for each in configured:
<li class="row"><span class="mono">{{each}}</span> <span class="muted">{{rich(_('set by <code>-guard.trusted</code>'))}}</span></li>
% end
% for each in trusted:
<li class="row"><span class="mono">{{each}}</span>\\
% if can_change:
 <form class="inline" method="post" action="/bans/distrust"><input type="hidden" name="network" value="{{each}}"><button class="btn s" aria-label="{{_('Remove {name}').format(name=each)}}">{{_('Remove')}}</button></form>\\
% end
</li>
% end
</ul>
% end
% if can_change:
<form method="post" action="/bans/trust" class="row" aria-label="{{_('Trust a network')}}">
<label class="grow">{{_('Address or network')}}
<input name="network" value="{{network}}" placeholder="192.168.0.0/16" autocomplete="off" spellcheck="false" maxlength="60" required\\
% if error:
 aria-invalid="true" aria-describedby="network-error"\\
% end
>
% if error:
<span class="field-error" id="network-error">{{error}}</span>
% end
</label>
<button class="btn">{{_('Trust it')}}</button>
</form>
% end
</div>
</section>
