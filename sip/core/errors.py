"""How a handler says no: an exception that becomes a response, and a cause for people."""

from typing import NamedTuple

Fields = tuple[tuple[str, str], ...]


def printable(text: str) -> str:
    """Make text fit for a line of the log: no control characters, no octets that are no UTF-8."""
    return "".join([character if character.isprintable() else "?" for character in text])


class Cause(NamedTuple):
    """Why, for the operator: what happened, as a clause; what to do, as whole sentences or ""."""

    text: str
    cure: str = ""


class Refused(Exception):
    """A request is answered with `status` instead of being served.

    `reason` is the phrase that the peer sees, None for the usual one.  `cause` says in plain words
    why, for the log and the pages, and `cure` what to do about it; peers don't get to see them.
    `extra` are header fields of the response as (name, value).
    """

    def __init__(
        self,
        status: int,
        cause: Cause | str,
        *,
        reason: str | None = None,
        extra: Fields = (),
    ) -> None:
        self.cause, self.cure = cause if isinstance(cause, Cause) else Cause(cause)
        super().__init__(self.cause)
        self.status = status
        self.reason = reason
        self.extra = extra


class Challenged(Refused):
    """The request needs credentials: answered once, statelessly (§22.1, §26.3.2.4).

    `cause` is empty where nothing was wrong yet: the first request of a phone has no credentials.
    `is_refusal` says that something was wrong with them, but for a stale nonce, which the phone
    mends by itself; `is_verified` that the nonce was made for the address that answered it, so that
    address is not forged.
    """

    def __init__(
        self,
        status: int,
        cause: Cause | str,
        *,
        extra: Fields = (),
        is_stale: bool = False,
        is_verified: bool = False,
    ) -> None:
        super().__init__(status, cause, extra=extra)
        self.is_refusal = self.cause != "" and not is_stale
        self.is_verified = is_verified
