% theme, is_part = get('theme', 'system'), get('is_part')
<!DOCTYPE html>
% if is_part:
<title>{{title}} – sipserver</title>
% else:
<html lang="{{current_code()}}"\\
% if theme != 'system':
 data-theme="{{theme}}"\\
% end
>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="{{'light dark' if theme == 'system' else theme}}">
<meta name="htmx-config" content='{"includeIndicatorCSS": false, "noSwap": [204, 304, "4xx", "5xx"]}'>
% if get('refresh'):
<noscript><meta http-equiv="refresh" content="{{refresh}}"></noscript>
% end
<title>{{title}} – sipserver</title>
<link rel="icon" href="{{static('favicon.svg')}}" type="image/svg+xml">
<link rel="stylesheet" href="{{static('admin.css')}}">
<script src="{{static('vendor/htmx/htmx.min.js')}}" defer></script>
<script src="{{static('admin.js')}}" defer></script>
<script src="{{static('frame.js')}}" defer></script>
<script src="{{static('times.js')}}" defer></script>
</head>
<body data-texts="{{script_texts()}}">
<a class="skip" href="#content">{{_('Skip to the content')}}</a>
<div class="app{{'' if session else ' alone'}}">
<header class="side">
<div class="brand"><img src="{{static('favicon.svg')}}" alt="" width="26" height="26">sipserver</div>
% if session:
% icons = static('icons.svg')
<nav aria-label="{{_('Main')}}">
% for caption, sections in groups:
% if caption:
<p class="cap">{{_(caption)}}</p>
% end
% for path, name, icon in sections:
<a href="{{path}}"\\
% if path == section:
 aria-current="page"\\
% end
><svg class="icon" aria-hidden="true"><use href="{{icons}}#{{icon}}"/></svg>{{_(name)}}\\
% if counts.get(path):
 <span class="n{{' bad' if path == '/trouble' else ''}}">{{thousands(counts[path])}}</span>\\
% end
</a>
% end
% end
</nav>
<div class="foot">
<p><strong>{{domain}}</strong><br>{{_('up {span}').format(span=span(uptime))}} · v{{version}}</p>
<form method="post" action="/logout">{{session.username if can_change else _('{name}, viewer').format(name=session.username)}} · <button class="link">{{_('Sign out')}}</button></form>
<div>
<form method="post" action="/theme" id="theme"><button class="link" name="theme" value="{{next_theme(theme)}}">{{_('Theme: {name}').format(name=_(theme_names[theme]))}}</button></form>
<span class="hide-m" data-shortcuts>· <button type="button" class="link">{{_('Shortcuts')}}</button></span>
</div>
</div>
% end
</header>
<main id="content">
% if get('exposed'):
<div class="notice hint" role="note"><p>{{rich(_('<strong>This connection is not encrypted.</strong> Others on the network can read it, including passwords. Set <code>-web.cert</code> and <code>-web.key</code>, or put a proxy with TLS in front of this server.'))}}</p></div>
% end
% if message:
<div class="notice" role="status">
<p>{{message.text}}</p>
% if message.secret:
<div class="secret">
<input class="mono" readonly value="{{message.secret}}" aria-label="{{_('The token, shown only now') if message.kind == 'token' else _('The password, shown only now')}}">
<button type="button" class="s" data-copy>{{_('Copy')}}</button>
</div>
% end
</div>
% end
<div class="notice bad" role="alert" id="unanswered" hidden><p>{{rich(_('This page could not be refreshed, so it may be out of date. <reload>Reload it</reload>'), {'reload': ''})}}</p></div>
% end
{{!base}}
% if not is_part:
</main>
</div>
% if session:
<nav class="tabbar" aria-label="{{_('Main')}}">
% for path, name, icon in bar:
<a href="{{path}}"\\
% if path == section:
 aria-current="page"\\
% end
><svg class="icon" aria-hidden="true"><use href="{{icons}}#{{icon}}"/></svg>{{_(name)}}</a>
% end
<details>
<summary\\
% if any(path == section for path, _, _ in menu):
 aria-current="true"\\
% end
><svg class="icon" aria-hidden="true"><use href="{{icons}}#more"/></svg>{{_('More')}}</summary>
<div class="menu">
<p class="small dim">{{domain}}<br>{{_('up {span}').format(span=span(uptime))}} · v{{version}}</p>
% for path, name, icon in menu:
<a href="{{path}}"\\
% if path == section:
 aria-current="page"\\
% end
><svg class="icon" aria-hidden="true"><use href="{{icons}}#{{icon}}"/></svg>{{_(name)}}</a>
% end
</div>
</details>
</nav>
% end
</body>
</html>
% end
