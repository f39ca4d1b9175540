"""The plan of one call: which phones ring, and which ring after them, by the settings of users.

The problem: a user may forward calls always, when busy, without an answer, or while not registered;
a group rings several users at once or in turn, and then perhaps another target.  Users and groups
may forward to each other.

The model: a call has stages, one after another.  The targets of a stage ring together; its end has
an outcome, and the plan names the next stage.  The fork knows nothing of users and groups, and the
plan nothing of branches: it never waits.

The invariant: no user and no group takes part twice in a call, so a chain of forwardings ends.  The
bounds: MAX_TARGETS users and groups, and those of TargetSet and Max-Breadth.
"""

from dataclasses import dataclass, replace
from typing import Final

from sip.core import causes
from sip.core.auth.authenticator import Account, Accounts
from sip.core.domains import Domains
from sip.core.errors import Cause, Refused
from sip.core.gruu import is_gruu
from sip.core.proxy.diversion import Diversion, add_diversions
from sip.core.proxy.target_set import MAX_TARGETS, TargetSet
from sip.core.proxy.trunk_table import Trunks
from sip.core.target import Target, as_request_uri
from sip.message.grammar import BadMessage
from sip.message.message import Request
from sip.message.uri import SipUri, Uri, parse_uri
from sip.store.call_settings import USUAL, CallSettings
from sip.store.groups import ALL, Group

# The first forwardings of a call, and the last ones, that log and pages show.
_SHOWN_FORWARDINGS: Final = 3


class Outcome:
    """The outcome of a stage in which no phone has answered the call."""

    BUSY: Final = "busy"  # 486 or 600
    NO_ANSWER: Final = "no_answer"  # the time is over, or the phone takes no calls now
    OFFLINE: Final = "offline"  # no phone has responded
    FAILED: Final = "failed"  # any other: a phone has declined


@dataclass(slots=True)
class Stage:
    """Targets that ring together, for `seconds`; 0: until each of them has ended."""

    targets: list[Target]
    seconds: int = 0


class CallPlan:
    """The stages of one call, and why it goes from one to the next.

    `sentences` are the forwardings so far; `peer` is the called side of the present stage, in
    words; `fault` says why there is no further stage, None as long as a response says it.
    """

    __slots__ = (
        "_accounts",
        "_calls_to_outside",
        "_diversions",
        "_domains",
        "_group",
        "_is_verified",
        "_members",
        "_owner",
        "_realm",
        "_seen",
        "_settings",
        "_target_set",
        "_trunks",
        "fault",
        "is_group",
        "is_new",
        "peer",
        "sentences",
        "stage",
    )

    def __init__(
        self,
        accounts: Accounts,
        domains: Domains,
        trunks: Trunks,
        target_set: TargetSet,
        *,
        calls_to_outside: bool,
    ) -> None:
        self._accounts = accounts
        self._domains = domains
        self._trunks = trunks
        self._target_set = target_set
        self._calls_to_outside = calls_to_outside
        self._seen: list[tuple[str, int]] = []  # users and groups, by kind and id
        self._owner: Account | None = None  # the user of the present stage
        self._settings: CallSettings = USUAL
        self._group: Group | None = None  # the group of the present stage
        self._members: list[str] = []  # those that have not rung yet
        self._realm = ""
        self._diversions: list[Diversion] = []
        self._is_verified = False  # the caller may know why the call is refused
        self.stage = Stage([])  # the first one
        self.sentences: list[str] = []
        self.peer = ""
        self.fault: Cause | None = None
        self.is_group = False
        self.is_new = False  # the call was forwarded, and the caller is not told yet

    def start(self, username: str, realm: str, *, is_verified: bool) -> None:
        """Begin with the first stage of a call to a user or group.  Raises Refused (480)."""
        self._is_verified = is_verified
        stage = self._enter(username, realm)
        if stage is None:
            raise self.refusal()
        self.stage = stage

    def after(self, outcome: str) -> Stage | None:
        """Return the stage after one that has ended; None for none."""
        if self._group is not None:
            return self._next_in_group(outcome)
        owner, settings = self._owner, self._settings
        self._owner = None
        if owner is None:
            return None
        if outcome == Outcome.BUSY and settings.busy:
            return self._forward(owner.username, settings.busy, "user-busy", f"{self.peer} is busy")
        if outcome == Outcome.NO_ANSWER and settings.no_answer:
            why = f"no answer in {settings.no_answer_seconds} s"
            return self._forward(owner.username, settings.no_answer, "no-answer", why)
        if outcome == Outcome.OFFLINE and settings.offline:
            why = f"{self.peer} cannot be reached"
            return self._forward(owner.username, settings.offline, "unavailable", why)
        return None

    def goes_on_after(self, status: int) -> bool:
        """Return True if a 6xx does not end the call: of one member, or busy with a forwarding."""
        return self.is_group or (status == 600 and self._settings.busy != "")

    def refusal(self) -> Refused:
        """Return the refusal of a call without a further stage."""
        fault = self.fault or causes.NO_ANSWER.of(peer=self.peer)
        is_dnd = self._is_verified and fault.code == causes.DO_NOT_DISTURB.code
        reason = "Do Not Disturb" if is_dnd and not self.sentences else None
        return Refused(480, self.explain(fault), reason=reason, told=self.told)

    def explain(self, cause: Cause) -> Cause:
        """Return the cause of a failure, after the forwardings that have led there."""
        if not self.sentences:
            return cause
        return cause._replace(text=f"{self.sentence}; {cause.text}")

    @property
    def sentence(self) -> str:
        """The forwardings so far, "" for none; of many, the first and the last ones."""
        sentences = self.sentences
        if len(sentences) > 2 * _SHOWN_FORWARDINGS:
            more = f"{len(sentences) - 2 * _SHOWN_FORWARDINGS} more forwardings"
            ends = sentences[:_SHOWN_FORWARDINGS], sentences[-_SHOWN_FORWARDINGS:]
            return "; ".join([*ends[0], more, *ends[1]])
        return "; ".join(sentences)

    @property
    def told(self) -> str:
        """The text for the caller: only that the call was forwarded, "" if it was not.

        Where it was forwarded to is the business of the user that forwards it.
        """
        return "forwarded" if self.sentences else ""

    def edit(self, outgoing: Request) -> None:
        """Add the forwardings to a copy of the request.  Raises BadMessage."""
        if self._diversions:
            add_diversions(outgoing, self._diversions)

    # Destinations

    def _enter(self, username: str, realm: str) -> Stage | None:
        """Return the first stage of a name in a local domain; None: no phone can ring there."""
        self._realm, self._group, self._owner, self.is_group = realm, None, None, False
        self._settings = USUAL
        account = self._accounts.find(username, realm)
        if account is not None:
            return self._enter_user(account) if self._is_new("user", account.id) else None
        group = self._accounts.find_group(username, realm)
        if group is not None:
            return self._enter_group(group) if self._is_new("group", group.id) else None
        gateway = self._trunks.target_for(username)
        if gateway is None:
            self.fault = causes.UNKNOWN_CALLEE.of(name=username)
            return None
        self.peer = username
        return self._stage_of(gateway)

    def _enter_gruu(self, uri: Uri, realm: str) -> Stage | None:
        """Return the stage of one phone of a user; it is not forwarded (RFC 5627 §6.1)."""
        self._group = self._owner = None
        self._settings, self.is_group, self.peer = USUAL, False, uri.text.partition(":")[2]
        account = self._target_set.gruu_user(uri, realm)
        if account is None:
            self.fault = causes.UNKNOWN_GRUU.of(uri=uri.text)
            return None
        name = account.username
        self.peer = f"{name}'s phone"
        if account.call_settings is not None and account.call_settings.dnd:
            self.fault = causes.DO_NOT_DISTURB.of(name=name)
            return None
        targets = self._target_set.of_gruu(uri, realm)
        if not targets:
            self.fault = causes.UNREGISTERED_CALLEE.of(name=name)
            return None
        return Stage(targets)

    def _is_new(self, kind: str, number: int) -> bool:
        """Return True if a user or group has not taken part in this call yet."""
        if (kind, number) in self._seen or len(self._seen) >= MAX_TARGETS:
            self.fault = causes.FORWARD_LOOP.of()
            return False
        self._seen.append((kind, number))
        return True

    def _enter_user(self, account: Account) -> Stage | None:
        name = account.username
        self.peer = f"{name}'s phone"
        if not account.enabled:
            self.fault = causes.DISABLED_CALLEE.of(name=name)
            return None
        settings = self._settings = account.call_settings or USUAL
        if settings.always:
            return self._forward(name, settings.always, "unconditional", "all calls")
        if settings.dnd:
            if settings.busy:
                return self._forward(name, settings.busy, "do-not-disturb", "do not disturb")
            self.fault = causes.DO_NOT_DISTURB.of(name=name)
            return None
        targets = self._target_set.of_user(name, self._realm)
        if not targets:
            if settings.offline:
                why = f"{name} is not registered"
                return self._forward(name, settings.offline, "unavailable", why)
            self.fault = causes.UNREGISTERED_CALLEE.of(name=name)
            return None
        self._owner = account
        return Stage(targets, settings.no_answer_seconds if settings.no_answer else 0)

    def _enter_group(self, group: Group) -> Stage | None:
        self._group, self._members, self.is_group = group, list(group.members), True
        self.peer = f"the group {group.name}"
        return self._next_in_group(Outcome.OFFLINE)

    def _next_in_group(self, outcome: str) -> Stage | None:
        """Return the next members' phones: those of all members, or of one after another.

        Members are called on their own phones only: their forwarding is for calls to themselves.
        """
        group = self._group
        if group is None:
            return None
        found: list[Target] = []
        while self._members and (group.strategy == ALL or not found):
            found += self._phones_of(self._members.pop(0))
        if found:
            # All at once: the q of a member's phone orders it only among the phones of the member.
            targets = [replace(each, q=1000) for each in found] if group.strategy == ALL else found
            return Stage(targets, group.seconds)
        self._group = None
        if not group.then:
            if outcome in (Outcome.OFFLINE, Outcome.NO_ANSWER):
                self.fault = causes.NO_MEMBER.of(name=group.name)
            return None
        reason = "unavailable" if outcome == Outcome.OFFLINE else "no-answer"
        why = f"no answer in the group {group.name}"
        return self._forward(group.name, group.then, reason, why)

    def _phones_of(self, member: str) -> list[Target]:
        account = self._accounts.find(member, self._realm)
        if account is None or not account.enabled:
            return []
        settings = account.call_settings
        if settings is not None and settings.dnd:
            return []
        return self._target_set.of_user(account.username, self._realm)

    def _forward(self, by: str, target: str, reason: str, why: str) -> Stage | None:
        """Forward the call, and return the first stage there; None: no phone can ring there."""
        self._diversions.append(Diversion(by, self._realm, target, reason))
        self.sentences.append(causes.FORWARDED.of(target=target, why=why).text)
        self.is_new = True
        self.fault = None
        if ":" not in target:
            return self._enter(target, self._realm)
        try:
            uri = parse_uri(target)
            realm = None if self._domains.has_foreign_maddr(uri) else self._domains.realm_of(uri)
        except BadMessage as bad:
            self.fault = causes.NO_ROUTE.of(uri=target, fault=bad.reason)
            return None
        if realm is not None and is_gruu(uri):
            return self._enter_gruu(uri, realm)
        if realm is not None:
            return self._enter(self._domains.username_of(uri), realm)
        self._group = self._owner = None
        self._settings, self.is_group, self.peer = USUAL, False, target.partition(":")[2]
        if not isinstance(uri, SipUri) or not self._calls_to_outside:
            self.fault = causes.CALL_TO_OUTSIDE.of(uri=target)
            return None
        return self._stage_of(Target(as_request_uri(target)))

    def _stage_of(self, target: Target) -> Stage | None:
        """Return the stage of a target that is no user; None if the call was there already."""
        if not self._target_set.add(target):
            self.fault = causes.FORWARD_LOOP.of()
            return None
        return Stage([target])
