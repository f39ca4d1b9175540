% setdefault('wide', False)
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="htmx-config" content='{"includeIndicatorCSS": false, "noSwap": [204, 304, "4xx", "5xx"]}'>
% if get('refresh'):
<noscript><meta http-equiv="refresh" content="{{refresh}}"></noscript>
% end
<title>{{title}} – sipserver</title>
<link rel="icon" href="{{static('favicon.svg')}}" type="image/svg+xml">
<link rel="stylesheet" href="{{static('vendor/pico/pico.min.css')}}">
<link rel="stylesheet" href="{{static('admin.css')}}">
<script src="{{static('vendor/htmx/htmx.min.js')}}" defer></script>
<script src="{{static('admin.js')}}" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="bar">
<nav class="container" aria-label="Main">
<a class="brand" href="/"><img src="{{static('favicon.svg')}}" alt="" width="24" height="24"><span>sipserver</span></a>
% if session:
% for path, name in (('/', 'Overview'), ('/calls', 'Calls'), ('/users', 'Users'), ('/users/import', 'Import'), ('/trouble', 'Trouble'), ('/health', 'Health'), ('/audit', 'Audit'), ('/settings', 'Settings')):
<a href="{{path}}"\\
% if path == section:
 aria-current="page"\\
% end
>{{name}}</a>
% end
<form method="post" action="/logout"><button class="secondary outline">Sign out</button></form>
% end
</nav>
</header>
<main id="content" class="container">
% if get('exposed'):
<div class="notice hint" role="note"><p><strong>This connection is not encrypted.</strong> Others on the network can read it, including passwords. Set
<code>-web.cert</code> and <code>-web.key</code>, or put a proxy with TLS in front of this server.</p></div>
% end
% if message:
<div class="notice" role="status">
<p>{{message.text}}</p>
% if message.secret:
<div class="secret">
<input readonly value="{{message.secret}}" aria-label="The password, shown only now">
<button type="button" class="small secondary" data-copy>Copy</button>
</div>
% end
</div>
% end
<div class="notice bad" role="alert" id="unanswered" hidden><p>This page could not be refreshed, so it may be out of date.
<a href="">Reload it</a></p></div>
{{!base}}
</main>
% if session:
<footer class="container"><small class="muted">sipserver {{version}}</small></footer>
% end
</body>
</html>
