"""How a handler says no: an exception that becomes a response, and a cause for people."""

Fields = tuple[tuple[str, str], ...]


def printable(text: str) -> str:
    """Make text fit for a line of the log: no control characters, no octets that are no UTF-8."""
    return "".join([character if character.isprintable() else "?" for character in text])


class Refused(Exception):
    """A request is answered with `status` instead of being served.

    `reason` is the phrase that the peer sees, None for the usual one.  `cause` says in plain words
    why, for the log and the pages; strangers don't get to see it.  `extra` are header fields of the
    response as (name, value).
    """

    def __init__(
        self, status: int, cause: str, *, reason: str | None = None, extra: Fields = ()
    ) -> None:
        super().__init__(cause)
        self.status = status
        self.cause = cause
        self.reason = reason
        self.extra = extra


class Challenged(Refused):
    """The request needs credentials: answered once, statelessly (§22.1, §26.3.2.4).

    `cause` is empty where nothing was wrong yet: the first request of a phone has no credentials.
    """
