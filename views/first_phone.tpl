<section class="card" aria-labelledby="first-title">
% if suggests_echo:
<header><h2 id="first-title">{{_('Registered, call echo')}}</h2></header>
<div class="body">
% if accounts == 1:
<p>{{rich(_('The phone of {name} is registered. Dial <strong>echo</strong> on it: you hear your own voice, so sound works in both directions.'), name=first.username)}}</p>
% else:
<p>{{rich(_('The first phone is registered. Dial <strong>echo</strong> on it: you hear your own voice, so sound works in both directions.'))}}</p>
% end
</div>
% else:
% if not accounts:
<header><h2 id="first-title">{{_('Add the first user')}}</h2></header>
<div class="body">
<p>{{_('Every phone needs an account.')}}</p>
% if can_change:
<p><a href="/users/new" class="btn" role="button">{{_('Add a user')}}</a> <a href="/users/import" class="btn" role="button">{{_('Import a list')}}</a></p>
% end
<h3>{{_('No phone is registered yet')}}</h3>
% else:
<header><h2 id="first-title">{{_('No phone is registered yet')}}</h2></header>
<div class="body">
% end
<p>{{rich(_('Enter these settings in a phone, here for the user <strong>{name}</strong>:') if first else _('Enter these settings in a phone, here for the example user <strong>{name}</strong>:'), name=settings.username)}}</p>
% include('phone.tpl', settings=settings)
<p class="dim">{{_('A phone appears here as soon as it has registered. If it does not, this page shows the reason.')}}</p>
</div>
% end
</section>
