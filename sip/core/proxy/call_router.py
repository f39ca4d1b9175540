"""The decision of an operator's own code about a call: forward it elsewhere, or refuse it."""

from typing import NamedTuple, Protocol

from sip.core import causes
from sip.core.auth.authenticator import Account
from sip.core.errors import Refused
from sip.message.message import Request
from sip.transport.flow import Flow


class RouteDecision(NamedTuple):
    """What is to be done with a call: `status` 0 forwards it, any other refuses it.

    `target` is a SIP or tel: URI, or the name of a user in the domain that was called.  `text` says
    why the call is refused.
    """

    target: str
    status: int = 0
    text: str = ""

    def uri_text(self, realm: str) -> str:
        """Return the new Request-URI; a name is one of `realm`.  Raises Refused."""
        if self.status:
            raise Refused(self.status, causes.REFUSED_BY_HOOK.of(text=self.text))
        is_uri = self.target.lower().startswith(("sip:", "tel:"))
        return self.target if is_uri else f"sip:{self.target}@{realm}"


class CallRouter(Protocol):
    """Decides about calls.  `is_active` is False if it decides nothing, to save the question."""

    is_active: bool

    def route(self, request: Request, caller: Account | None, flow: Flow) -> RouteDecision | None:
        """Return the decision about an INVITE that begins a call, None to let it pass.

        `caller` is the account of the caller, None for an external one.  May wait for 50 ms.
        """
