% rebase('layout.tpl', title=title, wide=True)
<p class="small"><a href="/traces">{{_('Messages')}}</a> <span class="dim">/ {{title}}</span></p>
<div id="trace"\\
% if is_live:
 hx-get="{{poll}}" hx-trigger="every 2s" hx-select="#trace" hx-target="this" hx-swap="outerMorph"\\
% end
>
% is_today = moment(now)[:10] == moment(ladder.start)[:10]
% began = moment(ladder.start)[11:19] if is_today else date_time(ladder.start)
<div class="head trace-head">
<h1>{{title}}</h1>
% if head.outcome:
<span class="pill {{head.pill}}">{{head.outcome}}</span>
% end
<span class="dim small num">{{'' if outline.method == 'INVITE' else outline.method + ' · '}}<time datetime="{{moment(ladder.start)}}" data-show="{{'time' if is_today else 'both'}}">{{began}}</time> <span data-utc>UTC</span>{{''.join(' · ' + time for time in head.times)}} · {{ngettext('{count} message', '{count} messages', len(trace.messages)).format(count=thousands(len(trace.messages)))}}{{' · ' + _('following') if is_live else ''}}</span>
<span class="sp"></span>
<div class="row">
<a class="btn" role="button" href="{{pcap_file}}" download>{{_('.pcap')}}</a>
<a class="btn" role="button" href="{{text_file}}" data-copy-of="{{text_file}}">{{_('Copy as text')}}</a>
</div>
</div>
<p class="small dim">Call-ID <span class="mono call-id">{{call_id or _('missing: all messages without one')}}</span></p>
% if secrets:
<div class="notice hint banner" role="note"><p>{{rich(_('<strong>Credentials and keys are shown.</strong> The audit has an entry. <hide>Hide them</hide>'), {'hide': without_secrets})}}</p></div>
% end
% if trace.omitted:
<p class="small dim">{{(_('{count} messages were removed to save memory, after the first 100.') if trace.first_kept else _('{count} messages were removed to save memory.')).format(count=thousands(trace.omitted))}}</p>
% end
<div class="ladder{{' of-two' if len(panels) > 1 else ''}}">
<section class="card" aria-label="{{_('Ladder')}}">
% if parts:
<nav class="chips" aria-label="{{_('Parts of the ladder')}}">
% for text, url, is_here in parts:
<a class="chip" href="{{url}}" aria-current="{{'page' if is_here else 'false'}}">{{text}}</a>
% end
</nav>
% end
<div class="body scrolls" tabindex="0" role="region" aria-label="{{_('Picture of the ladder')}}">
% include('ladder.tpl', drawing=drawing)
</div>
<details class="in-words"><summary>{{_('As a list')}}</summary>
<ol>
% for rung in drawing.rungs:
<li value="{{rung.number}}"><a href="{{rung.url}}">{{rung.words}}</a></li>
% end
</ol>
</details>
</section>
% for panel in panels:
<section class="card message" aria-label="{{_('Message {number}').format(number=panel.message.number)}}">
<header><h2>{{panel.message.label}}</h2><span class="sp"></span><span class="small dim num">{{panel.message.number}}{{' · ' + elapsed(panel.row.since) if panel.row else ''}}</span></header>
% if panel.row and panel.row.why:
<div class="body small why"><strong>{{translated(panel.row.why)}}</strong></div>
% end
<pre tabindex="0" aria-label="{{_('Text of message {number}').format(number=panel.message.number)}}">\\
% this = panel.message
% for line in panel.head[:1]:
<span class="{{'differs' if line.differs else ''}}">\\
% if this.status:
<i>{{line.rest[:7]}}</i> <b>{{line.rest[8:]}}</b>\\
% else:
<b>{{this.method}}</b>{{line.rest[len(this.method):]}}\\
% end
</span>
% end
% for line in panel.head[1:]:
<span class="{{'differs' if line.differs else ''}}"><b>{{line.name}}</b>{{line.rest}}</span>
% end

% for line in panel.body:
<span class="{{'differs' if line.differs else ''}}">{{line.rest}}</span>
% end
</pre>
% if panel.is_cut:
<p class="small dim">{{_('The rest is in “Copy as text”.')}}</p>
% end
</section>
% end
</div>
<div class="trace-foot">
% if choices:
<form class="row" method="get" action="{{action}}">
% for name, value in hidden:
<input type="hidden" name="{{name}}" value="{{value}}">
% end
<input type="hidden" name="m" value="{{panels[0].message.number}}">
<label>{{_('Compare {number} with').format(number=panels[0].message.number)}}
<select name="with">
% for number, text, is_proposed in choices:
<option value="{{number}}"{{' selected' if is_proposed else ''}}>{{text}}</option>
% end
</select></label>
<button class="secondary">{{_('Compare')}}</button>
</form>
% end
% for name in dict.fromkeys(name for name in (outline.from_, outline.to) if name and can_change):
<form class="inline" method="post" action="/traces/pin"><input type="hidden" name="back" value="{{here}}"><input type="hidden" name="username" value="{{'' if name == pinned else name}}"><button class="s">{{(_('Keep messages of {name} as long as others') if name == pinned else _('Keep messages of {name} longer')).format(name=name)}}</button></form>
% end
% if can_change and not secrets:
<a class="btn" role="button" href="{{with_secrets}}">{{_('Show credentials')}}</a>
% end
</div>
</div>
