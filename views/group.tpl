% name = group.name if group else ''
% rebase('layout.tpl', title=name or ('Group not added' if errors else 'Add a group'))
% setdefault('can_change', True)
% focus = next(iter(errors), '' if group else 'name')
<p class="small"><a href="/groups">Back to all groups</a></p>
<div class="head">
<h1>{{name or 'Add a group'}}</h1>
% if group:
<p class="dim">{{values['realm']}}</p>
% end
% if group and can_change:
<span class="sp"></span>
<form class="inline" method="post" action="/groups/{{group.id}}/remove"><button class="d">Delete</button></form>
% end
</div>
% if not can_change:
<section class="panel">
<dl class="kv">
<dt>Members</dt><dd>{{', '.join(group.members) if group else ''}}</dd>
<dt>Phones ring</dt><dd>{{strategies[values['strategy']]}}</dd>
<dt>Seconds</dt><dd>{{values['seconds']}}</dd>
<dt>Then</dt><dd>{{values['then'] or 'the call ends'}}</dd>
</dl>
</section>
% else:
<section class="panel form">
<form method="post" action="/groups/{{group.id if group else 'new'}}">
% include('field.tpl', name='name', label='Name or number', value=values['name'], longest=128, required=True, choices=(), focus=focus, hint='Users dial it. No user, alias or other group may have it.')
<div class="field">
<label for="members">Members</label>
<textarea id="members" name="members" rows="6" required autocapitalize="none" spellcheck="false" maxlength="7000" aria-describedby="members-hint{{' members-error' if 'members' in errors else ''}}"\\
% if 'members' in errors:
 aria-invalid="true"\\
% end
% if focus == 'members':
 autofocus\\
% end
>
{{values['members']}}</textarea>
% if 'members' in errors:
<p class="field-error" id="members-error">{{errors['members']}}</p>
% end
<p class="help" id="members-hint">User names, one on each line, in the order in which they ring. 50 at most.</p>
</div>
<fieldset\\
% if 'strategy' in errors:
 aria-describedby="strategy-error"\\
% end
>
<legend>Phones ring</legend>
% for value, label in strategies.items():
<label><input type="radio" name="strategy" value="{{value}}"{{' checked' if value == values['strategy'] else ''}}> {{label}}</label>
% end
% if 'strategy' in errors:
<p class="field-error" id="strategy-error">{{errors['strategy']}}</p>
% end
</fieldset>
% include('field.tpl', name='seconds', label='Seconds', value=values['seconds'], longest=9, required=True, choices=(), focus=focus, hint='How long the phones ring; in turn, those of each member. {} to {}.'.format(*seconds))
% include('field.tpl', name='then', label='Then forward to', value=values['then'], longest=255, required=False, choices=(), focus=focus, hint='A user, a group, a telephone number or a SIP address, for a call that no member has answered. Empty: the call ends.')
% if not group:
% include('field.tpl', name='realm', label='Realm', value=values['realm'], longest=255, required=True, choices=realms, focus=focus, hint='Change it only if this server has users of several domains.')
% end
<button class="p">{{'Save' if group else 'Add'}}</button>
</form>
</section>
% end
