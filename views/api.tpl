% rebase('layout.tpl', title=_('API'))
<div class="stack">
<div class="head"><h1>{{_('API')}}</h1><span class="sp"></span><a class="btn" href="/api/v1/openapi.json">{{_('OpenAPI document')}}</a></div>
<section class="card" aria-label="{{_('How to use it')}}">
<div class="body">
<p>{{rich(_('Programs use the server by HTTP and JSON, with a token: <code>sipserver.py tokens add NAME --role admin</code> prints one. A token with the role <b>viewer</b> reads everything but secrets.'))}}</p>
<p class="small dim">{{rich(_('Times are in UTC (RFC 3339), durations in seconds. A list has at most <code>limit</code> items; <code>next</code> is the value of <code>after</code> for the part after it. An error is a problem (RFC 9457): <code>detail</code> says what is wrong, <code>errors</code> in which field.'))}}</p>
</div>
</section>
<div class="stack" lang="en">
% for topic in topics:
<section class="card" aria-labelledby="topic-{{topic.name}}">
<header><h2 id="topic-{{topic.name}}">{{'Document' if topic.name == 'openapi' else topic.name.capitalize()}}</h2></header>
% for each in topic.operations:
<details class="body" id="{{each.id}}">
<summary><code>{{each.method}} {{each.path}}</code> {{each.summary}}</summary>
<p>{{each.text}} The status of the answer is {{each.status}}.</p>
% for caption, shape in (('Body', each.body), ('Answer', each.answer)):
% if shape and (shape.kind or shape.text):
<p class="small dim">{{caption}}: {{shape.kind or shape.text}}</p>
% end
% end
% for caption, rows in (('Parameters', each.parameters), ('Body', each.body.rows if each.body else ()), ('Answer', each.answer.rows if each.answer else ()), ('Errors', each.errors)):
% if rows:
<h3>{{caption}}</h3>
<table aria-label="{{caption}} of {{each.method}} {{each.path}}">
<thead><tr><th scope="col">{{'Status' if caption == 'Errors' else 'Name'}}</th><th scope="col">{{'Meaning' if caption == 'Errors' else 'Type'}}</th></tr></thead>
<tbody>
% for row in rows:
<tr><td><code>{{row.name}}</code></td><td>{{'; '.join(filter(None, (row.kind, row.text)))}}</td></tr>
% end
</tbody>
</table>
% end
% end
<pre tabindex="0" aria-label="Example of {{each.method}} {{each.path}}">{{each.example}}</pre>
</details>
% end
</section>
% end
</div>
</div>
