<div id="chosen" class="row" data-chosen="{{chosen}}">
% many = 'user' if chosen == 1 else 'users'
<p role="status" class="num">{{'{:,} {} chosen'.format(chosen, many) if chosen else 'No user chosen'}}</p>
<button class="s no-js" formaction="/users/choose{{list_query}}">Keep these ticks</button>
% if total > chosen:
<button class="s" name="all" value="yes" formaction="/users/choose{{list_query}}">Choose all {{'{:,}'.format(total)}}</button>
% end
% if chosen:
<button class="s" name="none" value="yes" formaction="/users/choose{{list_query}}">Choose none</button>
% end
<span class="row acts">
<button class="s" name="act" value="enable">Enable</button>
<button class="s" name="act" value="disable">Disable</button>
<button class="s" name="act" value="passwords">New passwords</button>
<button class="s d" name="act" value="delete">Delete</button>
</span>
</div>
