% rebase('layout.tpl', title=_('Phone'))
<div class="head"><div><h1>{{user.display_name or user.username}}</h1><p class="mono dim">{{user.username}}@{{realm}}</p></div>
<span class="pill off" id="registration" role="status"></span><span class="sp"></span>
% if session:
<a class="btn" href="/users/{{user.id}}">{{_('The page of this user')}}</a>
% else:
<a class="btn" href="/me">{{_('My phones')}}</a>
<form method="post" action="/phone/logout" id="sign-out"><button>{{_('Sign out')}}</button></form>
% end
</div>
<noscript><div class="notice bad" role="alert"><p>{{_('The phone needs JavaScript.')}}</p></div></noscript>
<div class="notice bad" role="alert" id="hindrance" hidden><p></p></div>
<div class="{{'two' if session else 'stack'}}" id="phone" data-phone="{{phone}}" hidden>
<section class="card" aria-labelledby="call-title">
<header><h2 id="call-title">{{_('Phone')}}</h2></header>
<div class="body">
<p class="call-state" id="call-state" role="status"></p>
<p id="peer" class="dim" hidden></p>
<form id="dial">
<div class="field">
<label for="number">{{_('Number or name')}}</label>
<input id="number" name="number" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="255" required>
</div>
<button class="p" id="call">{{_('Call')}}</button>
</form>
<div class="row" id="ringing" hidden>
<button type="button" class="p" id="answer">{{_('Answer')}}</button>
<button type="button" class="d" id="decline">{{_('Decline')}}</button>
</div>
<div class="row" id="referred" hidden>
<button type="button" class="p" id="follow">{{_('Call')}}</button>
<button type="button" class="d" id="refuse">{{_('Decline')}}</button>
</div>
<div class="row" id="talking" hidden>
<button type="button" id="mute" aria-pressed="false">{{_('Mute')}}</button>
<button type="button" id="hold">{{_('Hold')}}</button>
<button type="button" id="keypad" aria-expanded="false" aria-controls="keys">{{_('Keypad')}}</button>
<button type="button" id="transfer" aria-expanded="false" aria-controls="transfer-form">{{_('Transfer')}}</button>
<button type="button" class="d" id="hang-up">{{_('Hang up')}}</button>
</div>
<div class="keypad" id="keys" role="group" aria-label="{{_('Keypad')}}" hidden>
% for key in '123456789*0#':
<button type="button" data-key="{{key}}">{{key}}</button>
% end
</div>
<p class="mono" id="pressed" hidden></p>
<form id="transfer-form" hidden>
<div class="field">
<label for="transfer-to">{{_('Transfer to')}}</label>
<input id="transfer-to" name="to" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="255" required>
</div>
<button>{{_('Transfer now')}}</button>
</form>
<audio id="sound" autoplay></audio>
</div>
</section>
<div class="stack">
<section class="card" aria-labelledby="past-title">
<header><h2 id="past-title">{{_('Calls of this tab')}}</h2></header>
<p class="empty" id="no-past">{{_('There are no calls yet.')}}</p>
<ul class="feed" id="past" role="list"></ul>
</section>
<section class="card" aria-labelledby="devices-title">
<header><h2 id="devices-title">{{_('Sound')}}</h2></header>
<div class="body">
<div class="field"><label for="microphone">{{_('Microphone')}}</label><select id="microphone"></select></div>
<div class="field" id="speaker-field"><label for="speaker">{{_('Speaker')}}</label><select id="speaker"></select></div>
<p><label><input type="checkbox" id="ring" checked> {{_('Ring when a call comes in')}}</label></p>
</div>
</section>
</div>
</div>
<script src="{{static('vendor/jssip/jssip.min.js')}}" defer></script>
<script src="{{static('phone_ring.js')}}" defer></script>
<script src="{{static('phone_past.js')}}" defer></script>
<script src="{{static('phone.js')}}" defer></script>
