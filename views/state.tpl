% word = 'disabled' if not user.enabled else 'online' if user.online else 'offline'
<span class="pill {{'on' if word == 'online' else 'off'}}">{{_(state_names[word])}}</span>\\
