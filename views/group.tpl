% name = group.name if group else ''
% rebase('layout.tpl', title=name or (_('Group not added') if errors else _('Add a group')))
% setdefault('can_change', True)
% focus = next(iter(errors), '' if group else 'name')
<p class="small"><a href="/groups">{{_('Back to all groups')}}</a></p>
<div class="head">
<h1>{{name or _('Add a group')}}</h1>
% if group:
<p class="dim">{{values['realm']}}</p>
% end
% if group and can_change:
<span class="sp"></span>
<form class="inline" method="post" action="/groups/{{group.id}}/remove"><button class="d">{{_('Delete')}}</button></form>
% end
</div>
% if not can_change:
<section class="panel">
<dl class="kv">
<dt>{{_('Members')}}</dt><dd>{{', '.join(group.members) if group else ''}}</dd>
<dt>{{_('Phones ring')}}</dt><dd>{{_(strategies[values['strategy']])}}</dd>
<dt>{{_('Seconds')}}</dt><dd>{{values['seconds']}}</dd>
<dt>{{_('Then')}}</dt><dd>{{values['then'] or _('the call ends')}}</dd>
</dl>
</section>
% else:
<section class="panel form">
<form method="post" action="/groups/{{group.id if group else 'new'}}">
% include('field.tpl', name='name', label=_('Name or number'), value=values['name'], longest=128, required=True, choices=(), focus=focus, hint=_('Users dial it. No user, alias or other group may have it.'))
<div class="field">
<label for="members">{{_('Members')}}</label>
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
<p class="help" id="members-hint">{{_('User names, one on each line, in the order in which they ring. 50 at most.')}}</p>
</div>
<fieldset\\
% if 'strategy' in errors:
 aria-describedby="strategy-error"\\
% end
>
<legend>{{_('Phones ring')}}</legend>
% for value, label in strategies.items():
<label><input type="radio" name="strategy" value="{{value}}"{{' checked' if value == values['strategy'] else ''}}> {{_(label)}}</label>
% end
% if 'strategy' in errors:
<p class="field-error" id="strategy-error">{{errors['strategy']}}</p>
% end
</fieldset>
% include('field.tpl', name='seconds', label=_('Seconds'), value=values['seconds'], longest=9, required=True, choices=(), focus=focus, hint=_('How long the phones ring; in turn, those of each member. {least} to {most}.').format(least=seconds[0], most=seconds[1]))
% include('field.tpl', name='then', label=_('Then forward to'), value=values['then'], longest=255, required=False, choices=(), focus=focus, hint=_('A user, a group, a telephone number or a SIP address, for a call that no member has answered. Empty: the call ends.'))
% if not group:
% include('field.tpl', name='realm', label=_('Realm'), value=values['realm'], longest=255, required=True, choices=realms, focus=focus, hint=_('Change it only if this server has users of several domains.'))
% end
<button class="p">{{_('Save') if group else _('Add')}}</button>
</form>
</section>
% end
