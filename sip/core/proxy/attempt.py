"""One target of a fork: its next hops, and the login at a trunk's gateway (RFC 3261 §22.3)."""

import logging
from collections.abc import Callable, Iterable

from sip.core.auth.digest_client import challenges_in
from sip.core.causes import GATEWAY_LOGIN
from sip.core.errors import printable
from sip.core.proxy.forwarder import NextHop
from sip.core.target import Target
from sip.message.message import Request, Response

log = logging.getLogger(__name__)


class Attempt:
    """A target that is being tried: the copy for it, its breadth, and the next hops that are left.

    The next hops are tried one after another, each in a branch of its own (RFC 3263 §4.3).
    `breadth` is its part of Max-Breadth; `hop` is the next hop in use, None before the first one.
    `stage` is the number of the stage that it belongs to.
    """

    __slots__ = (
        *("breadth", "credentials", "hop", "logins", "next_hops", "outgoing", "stage", "target"),
    )

    def __init__(
        self,
        target: Target,
        breadth: int,
        outgoing: Request,
        next_hops: Iterable[NextHop] = (),
        stage: int = 0,
    ) -> None:
        self.target = target
        self.breadth = breadth
        self.outgoing = outgoing
        self.hop: NextHop | None = None
        self.next_hops = list(next_hops)
        self.credentials: tuple[str, str] | None = None  # name and line of a header field
        self.stage = stage
        self.logins = 0  # challenges of the gateway that were answered at this hop

    def answer_challenge(self, response: Response, new_cnonce: Callable[[], str]) -> bool:
        """Log in at the gateway of a trunk with the trunk's own credentials (§22.3).

        True: `credentials` are ready, and the present hop is to be tried again.  The request keeps
        its CSeq, because the caller counts it.  A second challenge is answered only if the first
        nonce was stale.
        """
        trunk = self.target.trunk
        if trunk is None or self.hop is None:
            return False
        challenge = next(challenges_in(response), None)
        may_answer = self.logins == 0 or (
            self.logins == 1 and challenge is not None and challenge.is_stale
        )
        if challenge is None or not trunk.username or not may_answer:
            call_id = printable(self.outgoing.value("call-id") or "")
            fields = {"call_id": call_id, "cause": GATEWAY_LOGIN.code}
            log.warning("trunk %s: the gateway rejects our credentials", trunk, extra=fields)
            return False
        outgoing = self.outgoing
        self.credentials = challenge.answer(trunk, outgoing.method, outgoing.uri_text, new_cnonce())
        self.logins += 1
        self.next_hops.insert(0, self.hop)
        return True

    def clear_login(self) -> None:
        """Remove the credentials: another host of the gateway has nonces of its own."""
        self.credentials, self.logins = None, 0
