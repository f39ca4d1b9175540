"""How a request goes to several targets, and the best of their answers back (RFC 3261 §16.7)."""

import logging
from collections import deque
from collections.abc import Callable, Iterable

from sip.core.auth.digest_client import challenges_in
from sip.core.errors import Refused, printable
from sip.core.proxy.forwarder import Forwarder, Way
from sip.core.proxy.loops import breadth_left
from sip.core.proxy.response_context import Answered, ResponseContext
from sip.core.target import Target, by_preference
from sip.message.grammar import BadMessage, quote
from sip.message.message import Request, Response
from sip.message.names import REASONS
from sip.message.uri import SipUri
from sip.transaction.branch_event import BranchEvent
from sip.transaction.upstream import Branch, EditResponse, Upstream
from sip.transport.dns.resolver import NoRoute
from sip.transport.flow import Flow

log = logging.getLogger(__name__)

# Branches of one request in all, one after the other and redirections included.
MAX_BRANCHES = 60
# RFC 3326 §2, as phones know it: who stops ringing for it shows no missed call.
_ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
# 3xx whose Contacts are other places for the same request (§21.3); 305 and 380 say more than that.
_REDIRECTIONS = (300, 301, 302)

# Reads a 3xx for the targets that are to be tried in its stead, and takes them out of it.
Redirect = Callable[[Response], list[Target]]
# Lets go of a target that takes no connection; True where it was bound by one.
Lose = Callable[[Target], bool]
# Completes a copy for its target and flow, and gives what is done with its responses.
Prepare = Callable[[Request, Target, Flow], EditResponse]


class Attempt:
    """A target that is being tried: the copy for it, its share of the breadth, and the ways left.

    One way is tried after the other, each in a branch of its own (RFC 3263 §4.3).
    """

    __slots__ = ("answered", "credentials", "outgoing", "share", "target", "way", "ways")

    def __init__(
        self, target: Target, share: int, outgoing: Request, ways: Iterable[Way] = ()
    ) -> None:
        self.target = target
        self.share = share
        self.outgoing = outgoing
        self.way: Way | None = None
        self.ways = deque(ways)
        self.credentials: tuple[str, str] | None = None  # name and line of a field
        self.answered = 0  # challenges of a trunk's gateway


class Found(BranchEvent):
    """The ways of an attempt have been found, as far as there are any."""

    __slots__ = ("attempt",)

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(None, 0, None)
        self.attempt = attempt


class Fork:
    """One request on its way, from the first branch until it is answered upstream.

    `loop_mark` goes into each branch (RFC 5393 §4.2.1).  `prepare` is None where no dialog begins
    and none is changed; `redirect` is None where a 3xx goes back as it is, `lose` where no target
    is a binding.
    """

    def __init__(
        self,
        forwarder: Forwarder,
        request: Request,
        upstream: Upstream,
        loop_mark: str,
        *,
        prepare: Prepare | None = None,
        redirect: Redirect | None = None,
        lose: Lose | None = None,
    ) -> None:
        self.forwarder = forwarder
        self.request = request
        self.upstream = upstream
        self.loop_mark = loop_mark
        self.prepare = prepare
        self.redirect = redirect
        self.lose = lose
        self.context: ResponseContext[Branch] = ResponseContext()
        self.free = 0  # of Max-Breadth: what no pending branch has
        self.attempts: dict[Branch, Attempt] = {}  # of the pending ones
        self.waiting: deque[Target] = deque()  # of the group that is being tried
        self.groups: deque[list[Target]] = deque()  # the less preferred ones
        self.finding = 0  # branches whose way has to be found yet
        self.begun = 0

    def run(self, targets: Iterable[Target]) -> None:
        """Try the targets in order of preference, and answer upstream.

        Blocks until a 2xx has come or all branches are over, which they will be: for silence the
        layer brings a 408, for a next hop out of reach a 503.  Raises Refused or BadMessage.
        """
        self.free = breadth_left(self.request)
        if self.free == 0:
            raise Refused(440, "it may not be split further")
        if self.request.method == "INVITE":
            self.upstream.answer(100)
        self.groups.extend(by_preference(targets))
        try:
            self._try_all()
        except BaseException:  # whatever is answered now, nobody goes on ringing (§16.7, step 10)
            for branch in self.context.pending:
                branch.cancel()
            raise
        if not self.context.is_answered:
            self._answer_best()

    def _try_all(self) -> None:
        self._begin_some()
        while self._is_waiting():
            arrivals = self.upstream.arrivals
            # All that has come is heard before anybody else is rung: it may be a CANCEL.
            arrived: list[BranchEvent] = [arrivals.get(), *arrivals.empty()]
            if self.finding:
                arrived.sort(key=lambda arrival: isinstance(arrival, Found))
            for arrival in arrived:
                self._hear(arrival)
            self._begin_some()

    def _is_waiting(self) -> bool:
        context = self.context
        is_finding = self.finding > 0 and not context.is_decided
        return not context.is_answered and (bool(context.pending) or is_finding)

    def _begin_some(self) -> None:
        """Begin as many branches as the breadth allows (RFC 5393 §5.3.3).

        Those of a group together, and a group when the one before is over (§16.6).
        """
        while not self.context.is_decided:
            if not self.waiting:
                if self.context.pending or self.finding or not self.groups:
                    return
                self.waiting.extend(self.groups.popleft())
            count = min(len(self.waiting), self.free)
            if count == 0:
                return
            share, more = divmod(self.free, count)
            for number in range(count):
                self._begin(self.waiting.popleft(), share + (number < more))

    def _begin(self, target: Target, share: int) -> None:
        """Send the request to one target; one that can't be reached never fails the others."""
        self.begun += 1
        if self.begun > MAX_BRANCHES:
            self.context.answers.append(Answered(503, None))
            return
        self.free -= share
        try:
            outgoing, ways = self.forwarder.prepared(self.request, target, share)
        except (NoRoute, BadMessage) as error:
            self._cannot_reach(target, error)
            self._give_up(Attempt(target, share, self.request))
            return
        if not isinstance(ways, SipUri):
            self._goes_out(Attempt(target, share, outgoing, self.forwarder.by_size(outgoing, ways)))
            return
        # A name may take long to resolve; what the others answer must not wait for it.
        self.finding += 1
        attempt = Attempt(target, share, outgoing)
        self.upstream.spawn(lambda: self._find(attempt, ways))

    def _find(self, attempt: Attempt, hop: SipUri) -> Found:
        try:
            ways = self.forwarder.ways_to(attempt.target, hop)
            attempt.ways.extend(self.forwarder.by_size(attempt.outgoing, ways))
        except NoRoute as error:
            self._cannot_reach(attempt.target, error)
        except Exception:  # whatever it is, the fork must hear of the end
            log.exception(
                "while looking for the way to %s", printable(attempt.target.uri_text[:80])
            )
        return Found(attempt)

    def _cannot_reach(self, target: Target, error: Exception) -> None:
        log.info("cannot reach %s", printable(f"{target.uri_text[:80]}: {error}"))

    def _goes_out(self, attempt: Attempt) -> None:
        """Send a copy by the first way that there is, while nothing has been decided."""
        forwarder, upstream = self.forwarder, self.upstream
        while attempt.ways and not self.context.is_decided:
            attempt.way = attempt.ways.popleft()
            try:
                flow = forwarder.flow_along(attempt.way, attempt.target)
            except (OSError, NoRoute) as error:
                self._cannot_reach(attempt.target, error)
                continue
            is_last = not attempt.ways and attempt.target.trunk is None
            outgoing = attempt.outgoing if is_last else attempt.outgoing.copy()
            if attempt.credentials is not None:
                outgoing.put_first(*attempt.credentials)
            edit = None
            if self.prepare is not None:
                edit = self.prepare(outgoing, attempt.target, flow)
            branch = forwarder.layer.send_request(outgoing, flow, upstream, self.loop_mark, edit)
            self.context.add(branch)
            self.attempts[branch] = attempt
            return
        self._give_up(attempt)

    def _give_up(self, attempt: Attempt) -> None:
        """No way is left: that counts as answered by 503 (§16.9)."""
        self.free += attempt.share
        if not attempt.ways:
            self.context.answers.append(Answered(480 if self._loses(attempt) else 503, None))

    def _loses(self, attempt: Attempt) -> bool:
        """Let go of a phone that no connection reaches any more: it is as if not registered."""
        return (
            self.lose is not None
            and attempt.way is not None
            and attempt.way.transport != "UDP"
            and not attempt.ways
            and self.lose(attempt.target)
        )

    def _hear(self, arrival: BranchEvent) -> None:
        """Carry out what the context decides on an arrival."""
        context, branch, response = self.context, arrival.branch, arrival.response
        if isinstance(arrival, Found):
            self.finding -= 1
            self._goes_out(arrival.attempt)
            return
        if branch is None:
            for pending in context.cancel():
                pending.cancel(arrival.reason)
            return
        attempt = self.attempts.pop(branch)
        if self._takes_another_way(branch, arrival, attempt):
            return
        is_unheard = response is None and not branch.transaction.was_heard
        if is_unheard and arrival.status == 503 and self._loses(attempt):
            arrival = BranchEvent(branch, 480, None)
        if attempt.target.trunk is not None and arrival.status in (401, 407):
            if self._tells_who_we_are(branch, arrival, attempt):
                return
            # Its challenge is no question to the caller.
            arrival, response = BranchEvent(branch, 500, None), None
        self.free += attempt.share
        if response is not None and self._is_redirected(branch, response):
            return
        relay, losers = context.receive(branch, arrival.status, response)
        if relay and response is not None:
            response.remove_top_via()
            self.upstream.respond(response)
        if losers:
            reason = _ELSEWHERE if relay else _reason_of(arrival.status)
            for loser in losers:
                loser.cancel(reason)

    def _takes_another_way(self, branch: Branch, arrival: BranchEvent, attempt: Attempt) -> bool:
        """Try the next address of a target that is silent, unreachable or unavailable.

        RFC 3263 §4.3.  Who has been heard has the request; nobody else gets it then.
        """
        if arrival.response is None:
            is_failure = not branch.transaction.was_heard
        else:
            is_failure = arrival.status == 503
        if not is_failure:
            return False
        if attempt.way is not None:
            self.forwarder.avoid(attempt.way)
        if not attempt.ways or self.context.is_decided or self.begun >= MAX_BRANCHES:
            return False
        self.begun += 1
        self.context.pending.discard(branch)
        attempt.credentials, attempt.answered = None, 0  # another host has nonces of its own
        self._goes_out(attempt)
        return True

    def _tells_who_we_are(self, branch: Branch, arrival: BranchEvent, attempt: Attempt) -> bool:
        """Answer the challenge of a trunk's gateway, with the trunk's own credentials (§22.3).

        The request keeps its CSeq, since the caller counts.  Asked once more, only a nonce that was
        too old is a reason to answer again.
        """
        trunk, response = attempt.target.trunk, arrival.response
        if trunk is None or response is None or attempt.way is None or self.context.is_decided:
            return False
        challenge = next(challenges_in(response), None)
        may_answer = attempt.answered == 0 or (
            attempt.answered == 1 and challenge is not None and challenge.is_stale
        )
        if challenge is None or not trunk.username or not may_answer:
            log.warning("the gateway of the trunk %s does not take our credentials", trunk)
            return False
        token = self.forwarder.layer.new_token()
        outgoing = attempt.outgoing
        attempt.credentials = challenge.answer(trunk, outgoing.method, outgoing.uri_text, token)
        attempt.answered += 1
        attempt.ways.appendleft(attempt.way)
        self.context.pending.discard(branch)
        self._goes_out(attempt)
        return True

    def _is_redirected(self, branch: Branch, response: Response) -> bool:
        """Go where a 3xx leads (§16.7, step 4).  True: it has been followed to its end."""
        if (
            self.redirect is None
            or response.status not in _REDIRECTIONS
            or self.context.is_decided
            or not (targets := self.redirect(response))
        ):
            return False
        first, *later = by_preference(targets)
        self.waiting.extend(first)
        self.groups.extendleft(reversed(later))
        if "contact" in response.present:
            return False
        self.context.pending.discard(branch)
        return True

    def _answer_best(self) -> None:
        """Send the best of the failures upstream (§16.7, steps 6 and 7)."""
        context, upstream = self.context, self.upstream
        if context.is_cancelled and not context.answers:
            upstream.answer(487)
            return
        best = context.best()
        response = best.response
        if response is None:
            self._answer_for_silence(best.status)
            return
        if best.status == 503:
            # §16.7, step 6: upstream it would mean that this server is overloaded.
            raise Refused(500, "the next hop is unavailable", reason="Next Hop Unavailable")
        response.remove_top_via()
        if best.status in (401, 407):
            for name, line in context.other_challenges(best):
                response.append(name, line)
        upstream.respond(response)

    def _answer_for_silence(self, status: int) -> None:
        """Nobody answered: say so, but for what RFC 4320 §4.2 wants unsaid."""
        if self.context.is_cancelled:
            self.upstream.answer(487)
        elif status == 513:
            raise Refused(513, "it is larger than a datagram")
        elif status == 408:
            self.upstream.answer(408)
        elif status == 480:
            raise Refused(480, "no contact takes a connection")
        else:
            raise Refused(500, "no contact could be reached", reason="Next Hop Unreachable")


def _reason_of(status: int) -> str:
    """The Reason of a CANCEL that a final response brings about (RFC 3326 §2)."""
    phrase = REASONS.get(status)
    return f"SIP;cause={status}" + (f";text={quote(phrase)}" if phrase else "")
