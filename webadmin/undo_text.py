"""The words of the result of an undo."""

from sip.store.undo import Undone


def undone_text(done: Undone) -> str:
    """Return sentences about the result; they name users that were changed since."""
    text = f"Undone: {done.undone:,} {'user is' if done.undone == 1 else 'users are'} as before."
    if not done.kept:
        return text
    one = done.kept == 1
    text += f" {done.kept:,} {'user was' if one else 'users were'} changed or deleted since then,"
    text += f" and {'stays as it is' if one else 'stay as they are'}"
    names = ", ".join(done.kept_names)
    if names and (more := done.kept - len(done.kept_names)):
        names += f" and {more:,} more"
    return f"{text}: {names}." if names else f"{text}."
