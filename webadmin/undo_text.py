"""The words of the result of an undo."""

from sip.store.undo import Undone


def undone_text(done: Undone) -> str:
    """Return sentences about the result; they name users that were changed since."""
    text = f"Undone: {done.undone:,} user{'' if done.undone == 1 else 's'} as before."
    if not done.kept:
        return text
    if done.kept == 1:
        text += " 1 user stays as it is, because it was changed or deleted since then,"
        text += " or its name is taken"
    else:
        text += f" {done.kept:,} users stay as they are, because they were changed or deleted"
        text += " since then, or their names are taken"
    names = ", ".join(done.kept_names)
    if names and (more := done.kept - len(done.kept_names)):
        names += f" and {more:,} more"
    return f"{text}: {names}." if names else f"{text}."
