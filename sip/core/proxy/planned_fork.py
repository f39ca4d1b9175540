"""A fork in stages, for a call that may be forwarded or that rings at a group (RFC 3261 §16.7).

The stages of a plan follow each other in one fork, so that a late 2xx of any of them still answers
the call.  A stage ends when all its branches have ended, or when its time is over: then its phones
are cancelled, and the next stage begins without waiting for their responses.
"""

from collections.abc import Iterable

from sip.core import causes
from sip.core.errors import Cause, Refused
from sip.core.proxy.call_plan import CallPlan, Outcome, Stage
from sip.core.proxy.fork import (
    EndBranch,
    Fork,
    HopsResolved,
    Prepare,
    Redirect,
    RemoveUnreachable,
)
from sip.core.proxy.forwarder import Forwarder
from sip.core.proxy.response_context import Answered
from sip.core.target import Target, by_preference
from sip.message.grammar import quote
from sip.message.message import Request
from sip.transaction.alarm import Alarm
from sip.transaction.branch_event import BranchEvent
from sip.transaction.upstream import Branch, Upstream

BUSY = (486, 600)


class StageEnded(BranchEvent):
    """The time of a stage is over: its phones have rung long enough."""

    __slots__ = ("stage",)

    def __init__(self, stage: int) -> None:
        super().__init__(None, 0, None)
        self.stage = stage


class PlannedFork(Fork):
    """A fork whose targets come from a plan, stage by stage.

    The invariant: a branch of an earlier stage is cancelled; only a 2xx of it still counts.
    """

    __slots__ = ("alarm", "answers_before", "plan")

    def __init__(
        self,
        forwarder: Forwarder,
        request: Request,
        upstream: Upstream,
        loop_mark: str,
        prepare: Prepare | None,
        redirect: Redirect | None,
        remove_unreachable: RemoveUnreachable | None,
        end_branch: EndBranch | None,
        plan: CallPlan,
    ) -> None:
        super().__init__(
            forwarder,
            request,
            upstream,
            loop_mark,
            prepare,
            redirect,
            remove_unreachable,
            end_branch,
        )
        self.plan = plan
        self.answers_before = 0  # answers of the stages before the present one
        self.alarm: Alarm | None = None  # ends the present stage

    def run(self, targets: Iterable[Target]) -> int:
        """Do as Fork.run; the alarm of the last stage ends with it."""
        self._set_alarm(self.plan.stage.seconds)
        self._tell_caller()
        try:
            return super().run(targets)
        except Refused as refused:
            if not refused.cause.startswith(self.plan.sentence):
                cause = Cause(refused.code, refused.cause, refused.cure)
                refused.set_cause(self.plan.explain(cause), self.plan.told)
            raise
        finally:
            self._set_alarm(0)

    def forwarded(self) -> Cause | None:
        """Return the forwardings as the cause for the end of an answered call, None for none."""
        sentence = self.plan.sentence
        return Cause(causes.FORWARDED.code, sentence, "") if sentence else None

    def failure(self, status: int) -> Cause:
        """Return why the call was not accepted, and where it was forwarded."""
        return self.plan.explain(super().failure(status))

    # Stages

    def _is_ringing(self) -> bool:
        attempts = self.attempts
        return self.resolving > 0 or any(
            attempts[branch].stage == self.stage for branch in self.context.pending
        )

    def _start_next_stage(self) -> bool:
        stage = self.plan.after(self._outcome())
        if stage is not None:
            self._begin_stage(stage)
        return stage is not None

    def _outcome(self) -> str:
        """Return how the present stage has ended."""
        answers = self.context.answers[self.answers_before :]
        if not answers:
            return Outcome.FAILED
        best = min(answers, key=lambda answer: answer.rank)
        if best.status in BUSY:
            return Outcome.BUSY
        if best.response is None:
            has_rung = self.fault is not None and self.fault.code == causes.NO_ANSWER.code
            return Outcome.NO_ANSWER if has_rung else Outcome.OFFLINE
        return Outcome.NO_ANSWER if best.status in (408, 480, 487) else Outcome.FAILED

    def _begin_stage(self, stage: Stage) -> None:
        self.stage += 1
        self.resolving = 0
        self.answers_before = len(self.context.answers)
        self.groups = by_preference(stage.targets)
        self._set_alarm(stage.seconds)
        self._tell_caller()

    def _tell_caller(self) -> None:
        """Tell a local caller that the call is forwarded (§21.1.3)."""
        if self.plan.is_new and self.upstream.is_verified:
            self.plan.is_new = False
            self.upstream.answer(181)

    def _set_alarm(self, seconds: int) -> None:
        if self.alarm is not None:
            self.alarm.end()
            self.alarm = None
        if seconds:
            layer, upstream = self.forwarder.layer, self.upstream
            at = layer.clock() + seconds
            self.alarm = Alarm(upstream.mailbox, StageEnded(self.stage), at, upstream.flow)
            layer.timers.add(self.alarm)

    def _end_stage(self, outcome: str) -> None:
        """End a stage whose phones still ring: begin the next one, and cancel these phones."""
        plan, context, ended = self.plan, self.context, self.stage
        self.waiting, self.groups = [], []
        if outcome == Outcome.NO_ANSWER:
            self.fault = causes.NO_ANSWER.of(peer=self._peer())
            context.answers.append(Answered(480, None))
        forwardings = len(plan.sentences)
        stage = plan.after(outcome)
        if stage is not None:
            self._begin_stage(stage)
        else:
            self.stage += 1
            self.resolving = 0  # what is resolved from now on is of an earlier stage
            self._set_alarm(0)
        text = plan.sentences[forwardings] if len(plan.sentences) > forwardings else "no answer"
        status = 486 if outcome == Outcome.BUSY else 408
        for branch in context.pending[:]:
            if self.attempts[branch].stage == ended:
                branch.cancel(f"SIP;cause={status};text={quote(text)}")

    # Events

    def _handle_event(self, event: BranchEvent) -> None:
        if isinstance(event, StageEnded):
            if event.stage == self.stage and not self.context.is_decided:
                self._end_stage(Outcome.NO_ANSWER)
        elif isinstance(event, HopsResolved) and event.attempt.stage != self.stage:
            self.free_breadth += event.attempt.breadth
        elif event.branch is None or event.status < 300 or not self._is_taken(event.branch, event):
            super()._handle_event(event)

    def _is_taken(self, branch: Branch, event: BranchEvent) -> bool:
        """Take a failure that is for the plan alone; False: it counts as in any fork.

        That is any failure of an earlier stage, whose phones were cancelled; and a 6xx that ends a
        stage, but not the call: one member of a group declines, or the user is busy on all phones.
        """
        context, attempt = self.context, self.attempts[branch]
        is_earlier = attempt.stage != self.stage
        goes_on = (
            event.status >= 600
            and event.response is not None
            and not context.is_decided
            and self.plan.goes_on_after(event.status)
        )
        if not is_earlier and not goes_on:
            return False
        del self.attempts[branch]
        context.pending.remove(branch)
        self.free_breadth += attempt.breadth
        if self.end_branch is not None:
            self.end_branch(attempt.target)
        if not is_earlier:
            context.answers.append(Answered(event.status, event.response))
            if not self.plan.is_group:
                self._end_stage(Outcome.BUSY)
        return True

    # Branches

    def _breadth_for(self, count: int) -> int:
        """Leave half of the breadth to the targets that the call may be forwarded to."""
        return max(count, self.free_breadth // 2)

    def _copy(self) -> Request:
        outgoing = super()._copy()
        self.plan.edit(outgoing)
        return outgoing

    def _unavailable(self) -> Refused:
        return self.plan.refusal()

    def _peer(self) -> str:
        return self.plan.peer or super()._peer()
