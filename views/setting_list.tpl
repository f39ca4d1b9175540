% rebase('layout.tpl', title=_('Settings'))
<div class="head"><h1>{{_('Settings')}}</h1></div>
<p class="small dim">{{rich(_('A flag overrides an environment variable, which overrides this page, which overrides the settings file. A change here is used at once, and after each restart. Your own password and sessions are on the page <account>Your account</account>.'), {'account': '/account'})}}</p>
% for each in other_errors:
<p class="notice bad" role="alert">{{each}}</p>
% end
% if can_change:
<form id="undo" class="inline" method="post" action="/settings/undo"></form>
<form id="remove" class="inline" method="post" action="/settings/remove"></form>
% end
% for title, fields in cards:
% key = title.lower().replace(' ', '-')
% is_form = can_change and any(field.state.editable for field in fields)
<section class="card" aria-labelledby="{{key}}-title">
<header><h2 id="{{key}}-title">{{_(title)}}</h2></header>
% if is_form:
<form method="post" action="/settings" aria-labelledby="{{key}}-title">
% end
<table class="cards-when-narrow settings">
<thead><tr><th scope="col">{{_('Setting')}}</th><th scope="col">{{_('Value')}}</th><th scope="col">{{_('Source')}}</th></tr></thead>
<tbody>
% for field in fields:
% state = field.state
% is_editable = can_change and state.editable
<tr>
<td data-label="{{_('Setting')}}">
% if is_editable:
<label for="{{state.name}}" class="mono">{{state.name}}</label>
% else:
<span class="mono">{{state.name}}</span>
% end
<span class="help" id="{{state.name}}-hint">{{sentence(state.meaning)}} {{field.default}}</span>
</td>
<td data-label="{{_('Value')}}">
% if is_editable:
% described = f'{state.name}-hint' + (f' {state.name}-error' if field.error else '')
<input type="hidden" name="was.{{state.name}}" value="{{field.value}}">
% if field.choices:
<select id="{{state.name}}" name="{{state.name}}" aria-describedby="{{described}}"\\
% if field.error:
 aria-invalid="true"\\
% end
>
% for choice in field.choices if field.typed in field.choices else [field.typed, *field.choices]:
<option\\
% if choice == field.typed:
 selected\\
% end
>{{choice}}</option>
% end
</select>
% else:
<input id="{{state.name}}" name="{{state.name}}" value="{{field.typed}}" maxlength="20000" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="{{described}}"\\
% if field.error:
 aria-invalid="true"\\
% end
% if first_error == state.name:
 autofocus\\
% end
>
% end
% if state.has_secret:
<span class="help">{{rich(_('Now <code>{value}</code>. Write the whole value to change it; leave the field empty to keep it.'), value=state.value)}}</span>
% end
% else:
<code>{{state.value or _('none')}}</code>
% if state.pending is not None:
<span class="help">{{rich(_('After a restart: <code>{value}</code>'), value=state.pending or _('none'))}}</span>
% end
% end
% if field.error:
<p class="field-error" id="{{state.name}}-error">{{field.error}}</p>
% end
</td>
<td data-label="{{_('Source')}}">
{{_(sources[state.source])}}\\
% if state.needs_restart:
<span class="help">{{_('Read at the start: a change needs a restart.')}}</span>
% elif not state.editable:
<span class="help">{{sentence(state.reason)}}</span>
% end
% if state.kept and state.editable:
<span class="help">{{rich(_('Changed {ago} by {name}.'), ago=time_ago(state.kept.changed_at, now), name=state.kept.changed_by)}}</span>
% end
% if can_change and state.can_undo:
<span class="help">{{_('Before: {value}').format(value=_('no value here') if state.kept.former is None else field.former or _('none'))}}</span>
<button class="s" form="undo" name="name" value="{{state.name}}" aria-label="{{_('Undo the change of {name}').format(name=state.name)}}">{{_('Undo')}}</button>
% end
% if is_editable and state.kept and state.kept.value is not None and state.kept.former is not None:
<button class="s" form="remove" name="name" value="{{state.name}}" aria-label="{{_('Remove {name} from this page').format(name=state.name)}}">{{_('Remove')}}</button>
% end
</td>
</tr>
% end
</tbody>
</table>
% if is_form:
<div class="body"><button aria-label="{{_('Save: {name}').format(name=_(title))}}">{{_('Save')}}</button></div>
</form>
% end
</section>
% end
% if can_change:
<section class="card" aria-labelledby="backup-title">
<header><h2 id="backup-title">{{_('Backup')}}</h2></header>
<div class="body">
<p>{{_('The file contains all users, registrations, calls of the history, administrators, bans, tokens and the settings of this page. It contains secrets: password hashes and the keys of this server. Keep it where no other person can read it.')}}</p>
<p class="small dim">{{rich(_('To use it, run <code>sipserver.py restore FILE</code> before the server starts.'))}}</p>
<form method="post" action="/settings/backup"><button>{{_('Download a backup')}}</button></form>
</div>
</section>
% end
<p class="small dim">{{rich(_('Programs use the <api>API</api>.'), {'api': '/api'})}}</p>
