<section class="card" aria-labelledby="last-refusals">
<header><h2 id="last-refusals">Last refusals</h2></header>
% for each in refusals[:some_refusals]:
<div class="issue"><span class="ic bad" aria-hidden="true">!</span>
<p>{{as_sentence(each.cause)}}</p>
<p class="small dim">{{'Registration' if each.method == 'REGISTER' else 'Call from {} to {}'.format(each.user or 'unknown', each.to)}}, {{'{:,} times, the last '.format(each.count) if each.count > 1 else ''}}<time datetime="{{moment(each.last_at)}}" title="{{moment(each.last_at)}}">{{ago(each.last_at, now)}}</time>, from <span class="mono">{{each.address}}</span>{{' by ' + each.device if each.device else ''}}: {{each.status}}. {{each.cure}}</p>
% if each.call_id:
<span class="act"><a class="btn s" href="{{ladder_link(each.call_id)}}" aria-label="Ladder of the request by {{each.user or 'unknown'}}">Ladder</a></span>
% end
</div>
% end
% if len(refusals) > some_refusals:
<p class="body small"><a href="/trouble?refusals=all">All refusals</a></p>
% end
</section>
