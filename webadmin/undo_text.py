"""The words of the result of an undo."""

from sip.store.undo import Undone
from webadmin.language import _, ngettext
from webadmin.numbers import thousands
from webadmin.templates import some_of


def undone_text(done: Undone) -> str:
    """Return sentences about the result; they name users that were changed since."""
    text = ngettext(
        "Undone: {count} user as before.", "Undone: {count} users as before.", done.undone
    ).format(count=thousands(done.undone))
    if not done.kept:
        return text
    kept = ngettext(
        "{count} user stays as it is, because it was changed or deleted since then, or its name is"
        " taken",
        "{count} users stay as they are, because they were changed or deleted since then, or their"
        " names are taken",
        done.kept,
    ).format(count=thousands(done.kept))
    if done.kept_names:
        kept = _("{sentence}: {names}").format(
            sentence=kept, names=some_of(done.kept_names, done.kept)
        )
    return f"{text} {kept}."
