% rebase('layout.tpl', title='Set up the second factor')
<p class="small"><a href="/account">Back to your account</a></p>
<div class="head"><h1>Set up the second factor</h1></div>
<section class="panel form">
% if is_required:
<p><strong>This server requires a second factor.</strong></p>
% end
<ol>
<li>Scan this picture with an authenticator app on your phone, or type the secret into it.</li>
<li>Enter the code that the app shows, and your password.</li>
</ol>
<p><img src="{{picture}}" alt="QR code of the secret below"></p>
<div class="secret"><input class="mono" readonly value="{{secret}}" aria-label="Secret"><button type="button" class="s" data-copy>Copy</button></div>
<form method="post" action="/account/second-factor">
% include('factor_fields.tpl', errors=errors)
<button class="p">Turn on</button>
</form>
<p class="small dim">Other browsers are signed out then. Each code is valid for 30 seconds, so the clock of this server has to be right: it is {{moment(now)[11:16]}} UTC.</p>
</section>
