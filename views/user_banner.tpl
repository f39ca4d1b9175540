<div class="banner" role="group" aria-label="{{banner.title}}"><div><b>{{banner.title}}</b>{{banner.rest}}
<p class="small">\\
% if banner.is_banned:
{{_('That address is banned, for all users. Correct the password in the phone, then unban the address.')}}\\
% else:
{{_('That address has to wait for {span}. Correct the password in the phone, then let it try again. Or set a new password on the page of the user.').format(span=banner.wait)}}\\
% end
</p></div>
% if banner.is_banned and can_change:
<a class="btn s" href="/trouble#banned" aria-label="{{_('Unban {address}, on the page of trouble').format(address=banner.address)}}">{{_('Unban')}}</a>
% elif can_change and not banner.is_banned:
<form class="inline" method="post" action="/users/{{user.id}}/forgive{{list_query}}"><input type="hidden" name="address" value="{{banner.address}}"><button class="btn s" aria-label="{{_('Let it try again: {name} at {address}').format(name=user.username, address=banner.address)}}">{{_('Let it try again')}}</button></form>
% end
</div>
