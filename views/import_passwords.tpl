<section class="card passwords">
<header><h2>{{_('Generated passwords')}}</h2></header>
<p class="body">{{rich(_('<strong>They are shown only now, and not stored:</strong> print or save this page before you leave it.'))}}</p>
<table class="plain">
<thead><tr><th scope="col">{{_('User')}}</th><th scope="col">{{_('Display name')}}</th><th scope="col">{{_('Password')}}</th></tr></thead>
<tbody>
% for username, realm, display_name, password in passwords:
<tr><th scope="row">{{username}}{{'@' + realm if realm else ''}}</th><td>{{display_name}}</td><td class="mono whole">{{password}}</td></tr>
% end
</tbody>
</table>
<div class="body">
<div class="row">
<button type="button" class="p" data-print>{{_('Print')}}</button>
<button type="button" data-save="passwords.csv" data-of="password-sheet">{{_('Save as CSV')}}</button>
</div>
<details>
<summary>{{_('As CSV, to copy')}}</summary>
<textarea id="password-sheet" readonly rows="6" spellcheck="false" aria-label="{{_('The passwords as CSV')}}">{{password_sheet}}</textarea>
</details>
</div>
</section>
