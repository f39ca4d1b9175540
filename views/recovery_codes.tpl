% rebase('layout.tpl', title=_('Recovery codes'))
<div class="head"><h1>{{_('Recovery codes')}}</h1></div>
<section class="panel form">
<div class="notice" role="status"><p>{{_('The second factor is on. All other browsers are signed out.')}}</p></div>
<p>{{rich(_('If you lose your phone, each of these codes signs you in once, instead of a code of the app. <strong>They are shown only now</strong>: print them, or write them down.'))}}</p>
<ul class="plain mono" role="list" aria-label="{{_('Recovery codes')}}">
% for code in codes:
<li>{{code}}</li>
% end
</ul>
<p><a class="btn p" href="/account" role="button">{{_('I have kept them')}}</a></p>
</section>
