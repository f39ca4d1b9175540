"""The rule of a check: which answers of both sides to an OPTIONS show that a call is over.

A check must not end a call that a side still has, also while the network of this server is down.
The end of the registrations of both phones counts as evidence, and so does a side that has the
dialog no more (RFC 3261 §12.2.1.2); one silence alone does not.
"""

from collections.abc import Collection
from enum import Enum


class Finding(Enum):
    """What the answer of one side to a request within the dialog shows."""

    HAS_DIALOG = "has the dialog"
    HAS_NO_DIALOG = "has no dialog"
    SILENCE = "gives no answer"
    UNKNOWN = "cannot be asked"


def finding_of(status: int) -> Finding:
    """Return what a final response of a side shows; 0 stands for none.

    Any response but 481 and 408 comes from a side that has the dialog, a 500 for the repeated CSeq
    too (§12.2.2).  A 503 may come from an overloaded proxy on the way.
    """
    if status in (408, 481):
        return Finding.HAS_NO_DIALOG
    if status == 503:
        return Finding.UNKNOWN
    return Finding.HAS_DIALOG if status else Finding.SILENCE


def is_over(findings: Collection[Finding], *, is_unregistered: bool, is_silent_again: bool) -> bool:
    """Return True if the findings of both sides show that the call is over.

    `is_unregistered` is True if no phone of the call is registered any more, `is_silent_again` if
    both sides were silent at the check before, and other senders were heard during this one.
    """
    if Finding.HAS_DIALOG in findings:
        return False
    if is_unregistered:
        return True
    if Finding.UNKNOWN in findings:
        return False
    return is_silent_again or Finding.HAS_NO_DIALOG in findings
