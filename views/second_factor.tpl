% rebase('layout.tpl', title=_('Set up the second factor'))
<p class="small"><a href="/account">{{_('Back to your account')}}</a></p>
<div class="head"><h1>{{_('Set up the second factor')}}</h1></div>
<section class="panel form">
% if is_required:
<p><strong>{{_('This server requires a second factor.')}}</strong></p>
% end
<ol>
<li>{{_('Scan this picture with an authenticator app on your phone, or type the secret into it.')}}</li>
<li>{{_('Enter the code that the app shows, and your password.')}}</li>
</ol>
<p><img src="{{picture}}" alt="{{_('QR code of the secret below')}}"></p>
<div class="secret"><input class="mono" readonly value="{{secret}}" aria-label="{{_('Secret')}}"><button type="button" class="s" data-copy>{{_('Copy')}}</button></div>
<form method="post" action="/account/second-factor">
% include('factor_fields.tpl', errors=errors)
<button class="p">{{_('Turn on')}}</button>
</form>
<p class="small dim">{{rich(_('Other browsers are signed out then. Each code is valid for 30 seconds, so the clock of this server has to be right: it is {time}<utc> UTC</utc>.'), time=clock_time(now))}}</p>
</section>
