<section class="card" id="call-settings" aria-labelledby="call-settings-title">
<header><h2 id="call-settings-title">{{_('Calls')}}</h2></header>
<div class="body">
% if get('can_change', True):
<form method="post" action="/users/{{user.id}}/calls{{list_query}}">
% include('field.tpl', name='aliases', label=_('Aliases'), value=call_values['aliases'], longest=3000, required=False, choices=(), focus='', hint=_('Further names and numbers of this user, such as 101 +49891234.'))
<label><input type="checkbox" name="dnd" value="on"{{' checked' if call_values['dnd'] else ''}}> {{_('Do not disturb: the phones do not ring')}}</label>
<p class="help">{{_('A call is forwarded to a user, a group, a telephone number or a SIP address. An empty field forwards no call.')}}</p>
% for name, label in (('always', _('Forward all calls to')), ('busy', _('Forward when busy to')), ('no_answer', _('Forward without an answer to'))):
% include('field.tpl', name=name, label=label, value=call_values[name], longest=255, required=False, choices=(), focus='', hint='')
% end
% include('field.tpl', name='no_answer_seconds', label=_('Seconds without an answer'), value=call_values['no_answer_seconds'], longest=9, required=False, choices=(), focus='', hint='')
% include('field.tpl', name='offline', label=_('Forward when not registered to'), value=call_values['offline'], longest=255, required=False, choices=(), focus='', hint='')
<button aria-label="{{_('Save: calls')}}">{{_('Save')}}</button>
</form>
% else:
<dl class="kv">
% for name, label in (('aliases', _('Aliases')), ('dnd', _('Do not disturb')), ('always', _('All calls to')), ('busy', _('When busy to')), ('no_answer', _('Without an answer to')), ('no_answer_seconds', _('Seconds without an answer')), ('offline', _('When not registered to'))):
% if call_values[name]:
<dt>{{label}}</dt><dd>{{call_values[name]}}</dd>
% end
% end
</dl>
% end
% if own_groups:
<p class="small">{{ngettext('Member of the group', 'Member of the groups', len(own_groups))}} \\
% for position, (number, name) in enumerate(own_groups):
{{', ' if position else ''}}<a href="/groups/{{number}}">{{name}}</a>\\
% end
.</p>
% end
</div>
</section>
