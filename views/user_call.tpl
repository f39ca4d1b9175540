% if user.enabled and user.contacts:
<form class="inline" method="post" action="/users/{{user.id}}/call{{list_query}}"><button class="btn s small secondary outline" aria-describedby="call-note">Call this phone</button></form>
<p class="dim muted" id="call-note"><small>It rings for 30 s at most, and plays a tone for 5 s when it is answered.</small></p>
% end
