"""A router of calls that decides the same for each call, in place of hooks."""

from collections.abc import Callable

from sip.core.auth.authenticator import Account
from sip.core.proxy.call_router import RouteDecision
from sip.message.message import Request
from sip.transport.flow import Flow


class FixedRouter:
    """Decides the same for each call; `meanwhile` is called while the call waits."""

    def __init__(
        self, decision: RouteDecision | None, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        self.is_active = True
        self.decision = decision
        self.meanwhile = meanwhile
        self.asked: list[tuple[Request, Account | None]] = []

    def route(self, request: Request, caller: Account | None, flow: Flow) -> RouteDecision | None:
        self.asked.append((request.copy(), caller))
        self.meanwhile()
        return self.decision
