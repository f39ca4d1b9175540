"""Which of many answers goes back (RFC 3261 §16.7)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.proxy.response_context import ResponseContext
from sip.message.message import Response
from sip.message.shape import shape_of


def answer(status: int, *fields: tuple[str, str]) -> Response:
    return Response(
        status,
        "",
        shape_of(tuple(name.lower() for name, _ in fields)),
        [f"{n}: {v}" for n, v in fields],
    )


def context(*branches: str) -> ResponseContext[str]:
    forked: ResponseContext[str] = ResponseContext()
    for branch in branches:
        forked.add(branch)
    return forked


def best_of(*answers: int | None) -> int:
    """Return the status chosen; negative if it stands for silence or an unreachable hop."""
    forked = context(*map(str, range(len(answers))))
    for branch, status in enumerate(answers):
        response = answer(status) if status > 0 else None
        forked.receive(str(branch), abs(status), response)
    return forked.best().status


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((500, 404, 302), 302),
        ((404, 603, 302), 603),
        ((600, 603), 600),
        ((404, 401), 401),
        ((486, 407), 407),
        ((404, 420), 420),
        ((404, 484), 484),
        ((404, 415), 415),
        ((486, 404), 486),
        ((480, 486), 486),
        ((408, 404), 408),
        ((487, 480), 480),
        ((487, 500), 487),
        ((404, 480), 404),
        ((-408, 404), 404),
        ((-408, 487), 487),
        ((-503, 404), 404),
        ((-503, -408), 408),
        ((-503, 500), 500),
        ((-503, 503), 503),
        ((-408, 500), 408),
    ],
)
def test_the_best_of_the_failures(statuses: tuple[int, ...], best: int):
    """§16.7, step 6: 6xx, else the lowest class; in the 4xx what tells how to ask better."""
    assert best_of(*statuses) == best


@given(st.lists(st.sampled_from([302, 401, 404, 408, 486, 487, 500, 503, 600, 603]), min_size=1))
def test_the_class_chosen_does_not_depend_on_the_order(statuses: list[int]):
    """§16.7, step 6."""
    ranks = {
        best_of(*order) // 100 for order in itertools.islice(itertools.permutations(statuses), 24)
    }
    assert ranks == {6 if max(statuses) >= 600 else min(statuses) // 100}


def test_a_2xx_goes_on_at_once_and_ends_the_search():
    """§16.7, steps 5 and 10."""
    forked = context("a", "b", "c")
    assert forked.receive("a", 486, answer(486)) == (False, [])
    assert forked.receive("b", 200, answer(200)) == (True, ["c"])
    assert forked.is_decided
    assert forked.receive("c", 202, answer(202)) == (True, [])
    assert not forked.pending


def test_a_2xx_after_a_6xx_is_still_relayed():
    """§16.7, step 5: the 6xx isn't sent before the others have ended."""
    forked = context("a", "b", "c")
    assert forked.receive("a", 603, answer(603)) == (False, ["b", "c"])
    assert forked.receive("b", 600, answer(600)) == (False, [])
    assert forked.receive("c", 200, answer(200)) == (True, [])


def test_a_cancel_reaches_every_pending_branch_and_no_other():
    """§16.10."""
    forked = context("a", "b")
    forked.receive("a", 486, answer(486))
    assert forked.cancel() == ["b"]
    assert (forked.is_cancelled, forked.is_decided) == (True, True)


def test_challenges_of_the_other_branches_are_gathered_in_order():
    """§16.7, step 7: of both kinds; those of branches that failed otherwise are left out."""
    forked = context(*"abcd")
    forked.receive("a", 407, answer(407, ("Proxy-Authenticate", "one"), ("X", "y")))
    forked.receive("b", 404, answer(404, ("WWW-Authenticate", "not this")))
    forked.receive("c", 408, None)
    forked.receive(
        "d", 401, answer(401, ("WWW-Authenticate", "two"), ("WWW-Authenticate", "three"))
    )
    best = forked.best()
    assert best.status == 407
    assert forked.other_challenges(best) == [
        ("www-authenticate", "WWW-Authenticate: two"),
        ("www-authenticate", "WWW-Authenticate: three"),
    ]
