<div class="issue"><span class="ic {{'bad' if issue.is_bad else 'warn'}}" aria-hidden="true">!</span>
<p>{{issue.title}}</p>
<p class="small dim">{{issue.detail}}</p>
% if issue.fields and not can_change:
% pass
% elif issue.fields:
<form class="act inline" method="post" action="{{issue.href}}">\\
% for name, value in issue.fields:
<input type="hidden" name="{{name}}" value="{{value}}">\\
% end
<button class="btn s" aria-label="{{issue.action}}: {{issue.title}}">{{issue.action}}</button></form>
% elif issue.href:
<span class="act"><a class="btn s" href="{{issue.href}}" aria-label="{{issue.action}}: {{issue.title}}">{{issue.action}}</a></span>
% end
</div>
