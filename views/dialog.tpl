<dialog id="dialog" aria-labelledby="hashes-title">
<article>
<div id="shown"></div>
<form method="dialog"><button class="secondary">Close</button></form>
</article>
</dialog>
