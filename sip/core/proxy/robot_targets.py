"""The names of the robot: numbers that users call to try a phone, unless a user has that name."""

from collections.abc import Callable
from typing import NamedTuple

from sip.core.target import Target
from sip.message.message import Request
from sip.transport.flow import Flow

# The transport between the proxy and the robot, in the memory of this process.  It is in no table
# of transports, so no URI of a peer leads to it.
ROBOT = "ROBOT"
# The user parts that the robot answers to, in the main domain.
NAMES = frozenset({"echo", "tone", "busy", "noanswer", "whoami"})
# The name of the robot for a call that has changed a setting; users cannot dial it.
CONFIRM = "confirm"
_METHODS = frozenset({"INVITE", "OPTIONS"})


# Callers whose INVITE is on its way to the robot; it takes each of them at once.
MAX_CALLERS = 1000


class RobotCaller(NamedTuple):
    """The caller of an INVITE to the robot: the flow of its phone, and the id of its account."""

    flow: Flow
    user_id: int


class RobotTargets:
    """Leads the calls of local users to the robot.

    `port` is the port that stands for the robot in Via and in our tickets: nothing listens there.
    """

    def __init__(self, sent_by: Callable[[Flow], str], port: int, *, is_on: bool) -> None:
        self._sent_by = sent_by
        self._port = port
        self.is_on = is_on
        self._callers: dict[tuple[str, str], RobotCaller] = {}

    def target_for(
        self, username: str, request: Request, caller_flow: Flow, user_id: int
    ) -> Target | None:
        """Return the robot as the target of a call; None if it is off or has no such name.

        The caller has authenticated, as the user `user_id`.
        """
        if not self.is_on or username not in NAMES or request.method not in _METHODS:
            return None
        return self._target(username, request, RobotCaller(caller_flow, user_id))

    def confirm(self, request: Request, caller_flow: Flow, user_id: int) -> Target | None:
        """Return the robot as the target of a call that has changed a setting; None if it is off.

        It answers with a short tone, and hangs up.
        """
        caller = RobotCaller(caller_flow, user_id)
        return self._target(CONFIRM, request, caller) if self.is_on else None

    def _target(self, username: str, request: Request, caller: RobotCaller) -> Target:
        if request.method == "INVITE":
            if len(self._callers) >= MAX_CALLERS:
                del self._callers[next(iter(self._callers))]
            self._callers[request.call_id, request.from_.tag] = caller
        flow = self.flow_for(caller.flow)
        return Target(f"sip:{username}@{self.sent_by(flow)}", flow)

    def flow_for(self, phone_flow: Flow) -> Flow:
        """Return the flow from the proxy to the robot for the calls of a phone.

        The robot has the local address of the phone's flow: there the phone reaches this server.
        """
        local = phone_flow.local
        return Flow(ROBOT, local, (local[0], self._port))

    def sent_by(self, flow: Flow) -> str:
        """Return the host and port that phones know this server by."""
        return self._sent_by(flow)

    def take_caller(self, call_id: str, tag: str) -> RobotCaller | None:
        """Return the caller whose INVITE has come to the robot, once."""
        return self._callers.pop((call_id, tag), None)
