<dialog id="dialog" aria-labelledby="hashes-title">
<div id="shown"></div>
<form method="dialog"><button>Close</button></form>
</dialog>
