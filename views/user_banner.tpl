<div class="banner" role="group" aria-label="{{banner.title}}"><div><b>{{banner.title}}</b>{{' by ' + banner.device if banner.device else ''}}{{', the last ' + banner.last if banner.last else ''}}.
<p class="small">\\
% if banner.is_banned:
That address is banned, for all users. Correct the password in the phone, then unban the address.\\
% else:
That address has to wait for {{banner.wait}}. Correct the password in the phone, then let it try again. Or set a new password on the page of the user.\\
% end
</p></div>
% if banner.is_banned:
<a class="btn s" href="/trouble#banned" aria-label="Unban {{banner.address}}, on the page of trouble">Unban</a>
% elif can_change:
<form class="inline" method="post" action="/users/{{user.id}}/forgive{{list_query}}"><input type="hidden" name="address" value="{{banner.address}}"><button class="btn s" aria-label="Let it try again: {{user.username}} at {{banner.address}}">Let it try again</button></form>
% end
</div>
