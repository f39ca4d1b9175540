"""Random settings of users and groups: each call ends, and no phone rings twice in it."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sip.message.message import Request, Response, parse
from sip.store.call_settings import CallSettings
from sip.store.groups import Group
from tests.support.world import REALM, Phone, World

USERS = ("u0", "u1", "u2", "u3")
GROUPS = ("g0", "g1")
TARGETS = st.sampled_from(("", *USERS, *GROUPS, "unknown"))
# What a phone does with a call: a final status, or 0 to ring until it is cancelled.
ACTIONS = st.sampled_from((0, 0, 200, 486, 600, 603, 480, 404))

SETTINGS = st.builds(
    CallSettings,
    dnd=st.booleans(),
    always=st.one_of(st.just(""), st.just(""), TARGETS),
    busy=TARGETS,
    no_answer=TARGETS,
    no_answer_seconds=st.integers(3, 10),
    offline=TARGETS,
)
MEMBERS = st.lists(st.sampled_from(USERS), unique=True, max_size=4).map(tuple)


def acts(phone: Phone, action: int, rung: Counter) -> None:
    """Answer the requests that a phone has received."""
    while phone.inbox:
        message = parse(phone.inbox.popleft())
        if not isinstance(message, Request) or message.method == "ACK":
            continue
        if message.method == "CANCEL":
            phone.answers(message, 200)
            phone.answers(phone.ringing, 487)
            continue
        rung[phone.name] += 1
        phone.ringing = message
        phone.answers(message, action or 180)


@settings(max_examples=60)
@given(
    callees=st.tuples(*[SETTINGS] * len(USERS)),
    registered=st.tuples(*[st.booleans()] * len(USERS)),
    actions=st.tuples(*[ACTIONS] * len(USERS)),
    groups=st.tuples(
        *[st.tuples(MEMBERS, st.sampled_from(("all", "in_turn")), TARGETS)] * len(GROUPS)
    ),
    dialled=st.sampled_from((*USERS, *GROUPS)),
)
def test_each_call_ends_and_rings_each_phone_once(callees, registered, actions, groups, dialled):
    """With one final response, from a person if a person has given one (§16.7)."""
    world = World()
    caller = world.phone("caller")
    phones = [
        world.phone(name, registered=here) for name, here in zip(USERS, registered, strict=True)
    ]
    for name, wanted in zip(USERS, callees, strict=True):
        world.users.accounts[name, REALM].call_settings = wanted
    for number, (name, (members, strategy, then)) in enumerate(zip(GROUPS, groups, strict=True)):
        world.users.groups.append(Group(number + 1, name, None, members, strategy, 5, then))
    invite = caller.sends("INVITE", f"sip:{dialled}@{REALM}")
    rung: Counter[str] = Counter()
    finals: list[int] = []
    for _ in range(80):
        while any(phone.inbox for phone in phones):  # before anything is repeated
            for phone, action in zip(phones, actions, strict=True):
                acts(phone, action, rung)
        while caller.inbox:
            response = parse(caller.inbox.popleft())
            assert isinstance(response, Response)
            if response.status >= 200:
                finals.append(response.status)
            if response.status >= 300:
                caller.acknowledges(invite, response)
        if finals:
            break
        world.passes(1, step=0.5)
    rings = any(action == 0 for action in actions)
    # A phone without a limit rings on; of several phones that answer at once, each 2xx is relayed.
    assert len(finals) == 1 or set(finals) == {200} or (not finals and rings)
    assert not finals or finals[0] in {200, 480, *actions}
    assert all(count == 1 for count in rung.values())
