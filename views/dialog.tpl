<dialog id="dialog" aria-labelledby="hashes-title">
<div id="shown"></div>
<form method="dialog"><button>{{_('Close')}}</button></form>
</dialog>
