<section class="card" aria-labelledby="last-refusals">
<header><h2 id="last-refusals">{{_('Last refusals')}}</h2></header>
% for each in refusals[:some_refusals]:
<div class="issue"><span class="ic bad" aria-hidden="true">!</span>
<p>{{as_sentence(each.cause)}}</p>
<p class="small dim">{{refusal_line(each, now, _('Registration') if each.method == 'REGISTER' else _('Call from {caller} to {callee}').format(caller=each.user or _('unknown'), callee=each.to), each.status)}} {{translated(each.cure)}}</p>
% if each.call_id:
<span class="act"><a class="btn s" href="{{ladder_link(each.call_id)}}" aria-label="{{_('Ladder of the request by {name}').format(name=each.user or _('unknown'))}}">{{_('Ladder')}}</a></span>
% end
</div>
% end
% if len(refusals) > some_refusals:
<p class="body small"><a href="/trouble?refusals=all">{{_('All refusals')}}</a></p>
% end
</section>
