<section class="card" aria-labelledby="first-title">
% if suggests_echo:
<header><h2 id="first-title">Registered, call echo</h2></header>
<div class="body">
<p>{{'The phone of ' + first.username if accounts == 1 else 'The first phone'}} is registered. Dial <strong class="mono">echo</strong> on it: you hear your own voice, so sound works in both directions.</p>
</div>
% else:
% if not accounts:
<header><h2 id="first-title">Add the first user</h2></header>
<div class="body">
<p>Every phone needs an account.</p>
% if can_change:
<p><a href="/users/new" class="btn" role="button">Add a user</a> <a href="/users/import" class="btn" role="button">Import a list</a></p>
% end
<h3>No phone is registered yet</h3>
% else:
<header><h2 id="first-title">No phone is registered yet</h2></header>
<div class="body">
% end
<p>Enter these settings in a phone, here for {{'the user' if first else 'the example user'}} <strong>{{settings.username}}</strong>:</p>
% include('phone.tpl', settings=settings)
<p class="dim">A phone appears here as soon as it has registered. If it does not, this page shows the reason.</p>
</div>
% end
</section>
