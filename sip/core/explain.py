"""Failures that another element has answered, as causes; and causes as sentences."""

import re
from typing import Final

from sip.core import causes
from sip.core.cause_kind import CauseKind
from sip.core.causes import CAUSES
from sip.core.errors import Cause
from sip.core.q850 import Q850_OF_STATUS

# Characters of a field that are read, and of its text that are shown.
_MAX_READ = 1000
_MAX_TOLD = 100
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_Q850: Final = re.compile(r"\bQ\.850\s*;[^,]*?\bcause\s*=\s*(\d{1,3})", re.IGNORECASE)

# By status, for all methods; what only a call has is in _OF_CALLS.
_OF_STATUS: Final[dict[int, CauseKind]] = (
    dict.fromkeys((404, 410, 484, 485, 604), causes.NUMBER_UNKNOWN_THERE)
    | dict.fromkeys((405, 501), causes.METHOD_NOT_ACCEPTED)
    | dict.fromkeys((420, 421, 422, 494, 580), causes.EXTENSION_NOT_ACCEPTED)
    | dict.fromkeys((401, 407), causes.PASSWORD_ASKED_THERE)
    | dict.fromkeys((300, 301, 302, 305, 380), causes.REDIRECTED)
    | {481: causes.CALL_UNKNOWN_THERE, 491: causes.CHANGED_BY_BOTH}
)
_OF_CALLS: Final[dict[int, CauseKind]] = (
    dict.fromkeys((486, 600), causes.BUSY)
    | dict.fromkeys((403, 603), causes.DECLINED)
    | {480: causes.UNAVAILABLE}
    | dict.fromkeys((406, 415, 488, 606), causes.MEDIA_NOT_ACCEPTED)
    | dict.fromkeys((408, 487), causes.NO_ANSWER)
)


def answer_of(
    peer: str,
    status: int,
    phrase: str,
    *,
    method: str = "INVITE",
    warning: str = "",
    reason: str = "",
) -> Cause:
    """Return the cause of a request that a phone or gateway has answered with a failure.

    `warning` and `reason` are the values of these fields of its response; their text is added.
    """
    kind = _OF_CALLS.get(status) if method == "INVITE" else None
    kind = kind or _OF_STATUS.get(status, causes.FAILED_THERE)
    cause = kind.of(peer=peer, status=str(status), phrase=phrase, method=method)
    told = words_of(status, warning, reason)
    if not told or told.lower() == phrase.lower():
        return cause
    return cause._replace(text=f"{cause.text}, and says: {told}")


def words_of(status: int, warning: str, reason: str) -> str:
    """Return the text of a Warning and of a Reason, and a Q.850 cause that says more than `status`.

    Both are read leniently, because they are only shown to people.
    """
    warning, reason = warning[:_MAX_READ], reason[:_MAX_READ]
    found = [_unquote(match[1]) for value in (warning, reason) for match in _QUOTED.finditer(value)]
    number = _Q850.search(reason)
    if number and int(number[1]) != Q850_OF_STATUS.get(status):
        found.append(f"Q.850 cause {number[1]}")
    return "; ".join(dict.fromkeys(text for text in found if text))[:_MAX_TOLD]


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text).strip().rstrip(".")


# First words of a clause that are not a user name.
_NO_NAMES: Final = frozenset(
    kind.text.partition(" ")[0] for kind in CAUSES.values() if not kind.text.startswith("{")
) | frozenset("there more it its has next the".split())


def as_sentence(clause: str) -> str:
    """Return a clause as a sentence; a user name at its start is not capitalized."""
    first, _, rest = clause.partition(" ")
    return f"{first.capitalize()} {rest}." if first in _NO_NAMES else f"{clause}."
