<div id="chosen" class="row" data-chosen="{{chosen}}">
<p role="status" class="num">{{ngettext('{count} user chosen', '{count} users chosen', chosen).format(count=thousands(chosen)) if chosen else _('No user chosen')}}</p>
<button class="s no-js" formaction="/users/choose{{list_query}}">{{_('Keep these ticks')}}</button>
% if total > chosen:
<button class="s" name="all" value="yes" formaction="/users/choose{{list_query}}">{{_('Choose all {count}').format(count=thousands(total))}}</button>
% end
% if chosen:
<button class="s" name="none" value="yes" formaction="/users/choose{{list_query}}">{{_('Choose none')}}</button>
% end
<span class="row acts">
<button class="s" name="act" value="enable">{{_('Enable')}}</button>
<button class="s" name="act" value="disable">{{_('Disable')}}</button>
<button class="s" name="act" value="passwords">{{_('New passwords')}}</button>
<button class="s d" name="act" value="delete">{{_('Delete')}}</button>
</span>
</div>
