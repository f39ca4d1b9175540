"""Star codes: a user changes the own forwarding, or do not disturb, by dialling a code.

The codes are those of most telephone systems in North America and of FreePBX.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sip.core import causes
from sip.core.auth.authenticator import Account
from sip.core.errors import Refused
from sip.store.database import DatabaseError

# The codes, each with a field of CallSettings.  After the first of a pair follows the number that
# calls are forwarded to.
FORWARDING: Final = {
    "*72": "always",
    "*90": "busy",
    "*92": "no_answer",
    "*52": "offline",
}
NO_FORWARDING: Final = {
    "*73": "always",
    "*91": "busy",
    "*93": "no_answer",
    "*53": "offline",
}
DO_NOT_DISTURB: Final = {"*78": True, "*79": False}
_WHICH: Final = {
    "always": "all calls",
    "busy": "calls while busy",
    "no_answer": "calls without an answer",
    "offline": "calls while not registered",
}

# Writes a call setting of the account of this name and realm to disk, and returns then.  Raises
# ValueError for a value that is not valid.
ChangeSettings = Callable[[str, str, Mapping[str, Any]], object]


class StarCode(NamedTuple):
    """A dialled code: the field to change, its new value, and what is done, in words."""

    field: str
    value: str | bool
    text: str


def star_code(dialled: str) -> StarCode | None:
    """Return the code in an unescaped user part, None for any other name.

    Raises Refused (484) for a code without its number.
    """
    if dialled in DO_NOT_DISTURB:
        is_on = DO_NOT_DISTURB[dialled]
        return StarCode("dnd", is_on, f"do not disturb is {'on' if is_on else 'off'}")
    if dialled in NO_FORWARDING:
        field = NO_FORWARDING[dialled]
        return StarCode(field, "", f"{_WHICH[field]} are no longer forwarded")
    code, number = dialled[:3], dialled[3:]
    if code not in FORWARDING:
        return None
    if not number:
        raise Refused(484, causes.SETTING_REFUSED.of(text=f"{code} needs a number after it"))
    field = FORWARDING[code]
    return StarCode(field, number, f"{_WHICH[field]} are forwarded to {number}")


def change_setting(code: StarCode, account: Account, realm: str, change: ChangeSettings) -> None:
    """Change the setting, and return when it is on disk.  Raises Refused (403, 500)."""
    try:
        change(account.username, realm, {code.field: code.value})
    except ValueError as error:
        raise Refused(403, causes.SETTING_REFUSED.of(text=str(error))) from None
    except DatabaseError as error:
        refusal = causes.SETTING_REFUSED.of(text=str(error))
        raise Refused(500, refusal, reason="Setting Not Saved") from None
