% if can_change and user.enabled and user.contacts:
<form class="inline" method="post" action="/users/{{user.id}}/call{{list_query}}"><button title="{{_('It rings for 30 s at most, and plays a tone for 5 s when it is answered.')}}">{{_('Call this phone')}}</button></form>
% end
