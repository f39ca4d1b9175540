% rebase('layout.tpl', title='Overview')
<div id="live" hx-get="{{'/?feed=all' if shows_all else '/'}}" hx-trigger="every 5s" hx-select="#live" hx-target="this" hx-swap="outerMorph">
<div class="head"><h1>Overview</h1>
% if issues:
<span class="pill {{'bad' if issues[0].is_bad else 'ring'}}">{{'1 thing needs you' if len(issues) == 1 else '{} things need you'.format(len(issues))}}</span>
% elif online:
<span class="pill on">All is well for {{'1 phone' if online == 1 else '{:,} phones'.format(online)}}</span>
% end
<span class="sp"></span><a class="btn p" href="/users/new" role="button">Add a user</a></div>
<div class="tiles">
% for tile in tiles:
% include('tile.tpl', tile=tile)
% end
</div>
% if not online or suggests_echo:
% include('first_phone.tpl')
% end
<div class="two">
<div class="stack">
<section class="card" aria-labelledby="needs-title">
<header><h2 id="needs-title">Needs you</h2><span class="sp"></span><span class="small dim">{{len(issues) or ''}}</span></header>
% for issue in issues:
% include('issue.tpl', issue=issue)
% end
% if not issues:
<p class="empty">Nothing needs you now.</p>
% end
</section>
<section class="card" aria-labelledby="calls-title">
<header><h2 id="calls-title">Calls now</h2><span class="sp"></span>\\
% if all_calls:
<a class="small" href="/calls">All {{'{:,}'.format(all_calls)}}</a>\\
% end
</header>
% if not calls:
<p class="empty">No call rings or talks now.</p>
% else:
<table aria-label="Calls now"><tbody>
% for row in calls:
% call = row['call']
<tr>
<td><div class="who"><div><b>{{row['caller_name'] or row['caller']}}</b><span class="mono">{{row['caller'] if row['caller_name'] else ''}}</span></div></div></td>
<td class="dim"><span aria-label="calls" role="img">→</span></td>
<td><div class="who"><div><b>{{row['callee_name'] or row['callee']}}</b><span class="mono">{{row['callee'] if row['callee_name'] else ''}}</span></div></div></td>
<td><span class="pill {{'talk' if call.answered_at else 'ring'}}">{{'Talking' if call.answered_at else 'Ringing'}}</span></td>
<td class="num r">{{counter(now - (call.answered_at or call.started_at))}}</td>
<td class="r"><a class="btn s" href="{{ladder_link(call.call_id)}}" aria-label="Ladder of the call from {{row['caller']}} to {{row['callee']}}">Ladder</a></td>
</tr>
% end
</tbody></table>
% end
</section>
</div>
<div class="stack">
<section class="card" aria-labelledby="feed-title">
<header><h2 id="feed-title">Just happened</h2><span class="sp"></span>\\
% if len(feed) > some and not shows_all:
<a class="small" href="/?feed=all">All {{len(feed)}}</a>\\
% end
</header>
% if not feed:
<p class="empty">Nothing since the start of the server.</p>
% else:
<ul class="feed" role="list">
% for row in feed if shows_all else feed[:some]:
<li><b>{{row.subject}}</b> {{row.text}}<div class="w"><time datetime="{{moment(row.at)}}" title="{{moment(row.at)}}">{{ago(row.at, now)}}</time>\\
% if row.detail:
 · {{row.detail}}\\
% end
% if row.href:
 · <a href="{{row.href}}">{{row.label}}</a>\\
% end
</div></li>
% end
</ul>
% end
</section>
<section class="card" aria-labelledby="health-title">
<header><h2 id="health-title">Health</h2><span class="sp"></span><a class="small" href="/health">All checks</a></header>
% for check in checks:
<div class="check"><i class="{{'' if check.status == 'ok' else 'w'}}" aria-hidden="true">{{'✓' if check.status == 'ok' else '!'}}</i><span>{{check.name}}<span class="small dim"> {{check.detail}}</span></span><span class="small dim">{{check.status}}</span></div>
% end
% if not checks:
<p class="empty">The checks are running.</p>
% end
</section>
</div>
</div>
</div>
<section class="card" aria-labelledby="server-title">
<header><h2 id="server-title">This server</h2></header>
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
