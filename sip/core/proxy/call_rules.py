"""The rules of users and groups for calls: the plan of a call, and the star codes."""

from collections.abc import Callable

from sip.core import causes
from sip.core.auth.authenticator import Account, Accounts
from sip.core.domains import Domains
from sip.core.errors import Refused
from sip.core.proxy.call_plan import CallPlan
from sip.core.proxy.robot_targets import ROBOT, RobotTargets
from sip.core.proxy.star_codes import ChangeSettings, change_setting, star_code
from sip.core.proxy.target_set import TargetSet
from sip.core.proxy.trunk_table import Trunks
from sip.core.target import Target
from sip.message.message import Request
from sip.transaction.upstream import Upstream


class CallRules:
    """Makes the plans of calls, and changes the settings of callers that dial a star code.

    `calls_to_outside` returns the setting of that name.
    """

    def __init__(
        self,
        accounts: Accounts,
        domains: Domains,
        trunks: Trunks,
        robots: RobotTargets,
        change: ChangeSettings,
        calls_to_outside: Callable[[], bool],
    ) -> None:
        self._accounts = accounts
        self._domains = domains
        self._trunks = trunks
        self._robots = robots
        self._change = change
        self._calls_to_outside = calls_to_outside

    def plan(
        self, request: Request, upstream: Upstream, realm: str, target_set: TargetSet
    ) -> CallPlan | None:
        """Return the plan of a call to a group, or to a user with settings; else None.

        A call of the robot tries out a phone, and one with Replaces is for one call of one phone
        (RFC 3891): both reach the user in any case.  Raises Refused if no phone may ring.
        """
        accounts = self._accounts
        username = self._domains.username_of(request.uri)
        callee = accounts.find(username, realm)
        if callee is None:
            if accounts.find_group(username, realm) is None:
                return None
        elif (
            callee.call_settings is None
            or not callee.call_settings.has_rules
            or upstream.flow.transport == ROBOT
        ):
            return None
        if request.to.tag or "replaces" in request.present:
            return None
        plan = CallPlan(
            accounts,
            self._domains,
            self._trunks,
            target_set,
            calls_to_outside=self._calls_to_outside(),
        )
        plan.start(username, realm, is_verified=upstream.is_verified)
        return plan

    def obey(
        self, dialled: str, request: Request, upstream: Upstream, caller: Account, realm: str
    ) -> list[Target] | None:
        """Change a setting of the caller by a star code; None if the number is no such code.

        Return the robot, which confirms it with a tone.  If the robot is off, the call is answered
        with a 480, whose reason phrase says what was changed, and there is no target.  Raises
        Refused.
        """
        gateway = self._trunks.target_for(dialled)
        if gateway is not None and gateway.trunk is not None and gateway.trunk.numbers[:1] == "*":
            return None  # the codes of a gateway come first
        code = star_code(dialled)
        if code is None:
            return None
        if isinstance(code.value, str) and code.value and not self._is_callable(code.value, realm):
            raise Refused(404, causes.UNKNOWN_CALLEE.of(name=code.value))
        upstream.ensure_transaction()  # it absorbs retransmissions until the change is on disk
        change_setting(code, caller, realm, self._change)
        robot = self._robots.confirm(request, upstream.flow, caller.id)
        if robot is None:
            upstream.answer(480, code.text)
            return []
        return [robot]

    def _is_callable(self, number: str, realm: str) -> bool:
        return (
            self._accounts.find(number, realm) is not None
            or self._accounts.find_group(number, realm) is not None
            or self._trunks.target_for(number) is not None
        )
