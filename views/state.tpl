% word = 'disabled' if not user.enabled else 'online' if user.online else 'offline'
<span class="state {{word}}">{{word}}</span>\\
