% rebase('layout.tpl', title=_('Overview'))
<div id="live" hx-get="{{'/?feed=all' if shows_all else '/'}}" hx-trigger="every 5s" hx-select="#live" hx-target="this" hx-swap="outerMorph">
<div class="head"><h1>{{_('Overview')}}</h1>
% if issues:
<span class="pill {{'bad' if issues[0].is_bad else 'ring'}}">{{ngettext('{count} thing needs you', '{count} things need you', len(issues)).format(count=len(issues))}}</span>
% elif online:
<span class="pill on">{{ngettext('All is well for {count} phone', 'All is well for {count} phones', online).format(count=thousands(online))}}</span>
% end
<span class="sp"></span>\\
% if can_change:
<a class="btn p" href="/users/new" role="button">{{_('Add a user')}}</a>\\
% end
</div>
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
<header><h2 id="needs-title">{{_('Needs you')}}</h2><span class="sp"></span><span class="small dim">{{len(issues) or ''}}</span></header>
% for issue in issues:
% include('issue.tpl', issue=issue)
% end
% if not issues:
<p class="empty">{{_('Nothing needs you now.')}}</p>
% end
</section>
<section class="card" aria-labelledby="calls-title">
<header><h2 id="calls-title">{{_('Calls now')}}</h2><span class="sp"></span>\\
% if all_calls:
<a class="small" href="/calls">{{_('All {count}').format(count=thousands(all_calls))}}</a>\\
% end
</header>
% if not calls:
<p class="empty">{{_('No call rings or talks now.')}}</p>
% else:
<table aria-label="{{_('Calls now')}}"><tbody>
% for row in calls:
<tr>
<td>\\
% include('call_person.tpl', person=row.caller, is_short=True)
</td>
<td class="dim"><span aria-label="{{_('calls')}}" role="img">→</span></td>
<td>\\
% include('call_person.tpl', person=row.callee, is_short=True)
</td>
<td><span class="pill {{row.pill}}">{{row.state}}</span></td>
<td class="num r">{{counter(row.seconds)}}</td>
<td class="small dim num">\\
% if row.pill == 'ring' and row.phones:
{{ngettext('{count} phone', '{count} phones', len(row.phones)).format(count=len(row.phones))}}\\
% else:
{{row.sound}}\\
% end
% if row.hold:
<div>{{row.hold}}</div>\\
% end
</td>
<td class="r"><a class="btn s" href="{{row.trace}}" aria-label="{{_('Ladder of the call from {names}').format(names=row.name)}}">{{_('Ladder')}}</a></td>
</tr>
% end
</tbody></table>
% end
</section>
</div>
<div class="stack">
<section class="card" aria-labelledby="feed-title">
<header><h2 id="feed-title">{{_('Just happened')}}</h2><span class="sp"></span>\\
% if len(feed) > some and not shows_all:
<a class="small" href="/?feed=all">{{_('All {count}').format(count=len(feed))}}</a>\\
% end
</header>
% if not feed:
<p class="empty">{{_('Nothing since the start of the server.')}}</p>
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
<header><h2 id="health-title">{{_('Health')}}</h2><span class="sp"></span><a class="small" href="/health">{{_('All checks')}}</a></header>
% for check in checks:
% if check.status == 'ok':
<div class="check"><i aria-hidden="true">✓</i><span>{{translated(check.name)}}<br><span class="small dim">{{translated(check.detail)}}</span></span><span class="small dim">{{_('ok')}}</span></div>
% else:
<div class="check"><i class="{{'bad' if check.status == 'failing' else 'warn'}}" aria-hidden="true">!</i><span>{{translated(check.name)}}<br><a class="small" href="/health#{{anchor(check)}}" aria-label="{{_('What to do: {name}').format(name=translated(check.name))}}">{{_('what to do')}}</a></span><span class="small dim">{{translated(check.status)}}</span></div>
% end
% end
% if not checks:
<p class="empty">{{_('The checks are running.')}}</p>
% end
</section>
</div>
</div>
</div>
<section class="card" aria-labelledby="server-title">
<header><h2 id="server-title">{{_('This server')}}</h2></header>
<dl class="kv body">
<dt>SIP</dt><dd>
% for address, transports in listening.items():
<div><span class="mono">{{address}}</span> {{', '.join(transports)}}</div>
% end
</dd>
<dt>{{_('Realm')}}</dt><dd class="mono">{{config.sip_realm}}</dd>
<dt>{{_('Database')}}</dt><dd class="mono">{{config.db_path}}</dd>
</dl>
</section>
