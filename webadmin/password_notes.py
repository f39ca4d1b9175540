"""Sentences about a password that was set."""

from webadmin.language import N_, _, translated

# The sentence before a password.
SHOWN_ONCE = N_("This password is shown only now:")


def weakness_note(reason: str) -> str:
    """Return a sentence with a space before it; "" without a reason, see sip/store/passwords.py."""
    if not reason:
        return ""
    return " " + _("The password is weak: it {reason}.").format(reason=translated(reason))
