<div class="who"><div><b>\\
% if person.path:
<a href="{{person.path}}">{{person.name}}</a>\\
% else:
{{person.name}}\\
% end
</b>\\
% if person.number != person.name:
<span class="mono">{{person.number}}</span>\\
% end
% if not get('is_short') and (person.device or person.address):
<span class="small dim">{{', '.join(filter(None, (person.device or _('unknown device'), person.address, _('behind NAT') if person.behind_nat else '')))}}</span>\\
% end
</div></div>
