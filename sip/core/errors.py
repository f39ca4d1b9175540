"""The exceptions by which a handler refuses a request, with a status and a cause."""

from typing import NamedTuple

Fields = tuple[tuple[str, str], ...]


def printable(text: str) -> str:
    """Make text safe for a log line: replace control characters and octets outside UTF-8."""
    if text.isprintable():  # nearly always
        return text
    return "".join([character if character.isprintable() else "?" for character in text])


class Cause(NamedTuple):
    """Why a request was refused or a call failed; `sip.core.causes` makes all of them.

    `code` is its key there, `text` a clause that says why, and `cure` what an administrator can do,
    in sentences or "".
    """

    code: str
    text: str
    cure: str


class Refused(Exception):
    """The request is refused with `status`.

    `reason` is the reason phrase of the response, None for the standard one.  `code`, `cause` and
    `cure` are those of the Cause; only a peer that has authenticated is told the cause, in Warning.
    `told` is the text for it, usually the cause.  `extra` are header fields of the response, as
    (name, value).
    """

    def __init__(
        self,
        status: int,
        cause: Cause,
        *,
        reason: str | None = None,
        extra: Fields = (),
        told: str = "",
    ) -> None:
        super().__init__(cause.text)
        self.code, self.cause, self.cure = cause
        self.told = told or cause.text
        self.status = status
        self.reason = reason
        self.extra = extra

    def set_cause(self, cause: Cause, told: str = "") -> None:
        """Replace the cause, and the text for a peer that has authenticated."""
        self.code, self.cause, self.cure = cause
        self.told = told or cause.text


class Challenged(Refused):
    """The request needs credentials: challenged once, statelessly (§22.1, §26.3.2.4).

    `cause` is empty if nothing was wrong: the first request of a phone has no credentials.
    `is_refusal` says that the credentials were wrong; a stale nonce does not count, for the phone
    repeats the request by itself.  `is_verified` says that the nonce was made for the source
    address, so that address is not forged.
    """

    def __init__(
        self,
        status: int,
        cause: Cause,
        *,
        extra: Fields = (),
        is_stale: bool = False,
        is_verified: bool = False,
    ) -> None:
        super().__init__(status, cause, extra=extra)
        self.is_refusal = self.cause != "" and not is_stale
        self.is_verified = is_verified
