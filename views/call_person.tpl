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
<span class="small dim">{{person.device or 'unknown device'}}{{', ' + person.address if person.address else ''}}{{', behind NAT' if person.behind_nat else ''}}</span>\\
% end
</div></div>
