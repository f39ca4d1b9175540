"""How a REGISTER changes bindings (RFC 3261 §10.3, §19.1.4; RFC 3327; RFC 5626 §6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.errors import Refused
from sip.core.registrar.bindings import (
    MAX_CONTACTS,
    Binding,
    check_removal_of_all,
    live,
    own_first,
    updated_bindings,
    within_limit,
)
from sip.transport.flow import Flow
from tests.support.bindings import PLAIN_FLOW, changed, plain_binding

FLOW = PLAIN_FLOW


def binding(contact: str = "sip:bob@192.0.2.7", expires_at: float = 100.0, **more) -> Binding:
    """A plain phone's."""
    return changed(plain_binding(contact, expires_at), **more)


CONTACTS = [f"sip:bob@192.0.2.{n}" for n in range(4)]
a_contact = st.builds(
    binding,
    st.sampled_from(CONTACTS),
    st.sampled_from([0.0, 20.0, 30.0, 40.0]),
    call_id=st.sampled_from(["a", "b"]),
    cseq=st.integers(1, 5),
)


def naive(current: dict[str, Binding], wanted: list[Binding], now: float):
    """The step as the RFC tells it, for contacts that are equal only where their text is."""
    bound = {b.contact: b for b in current.values() if b.expires_at > now}
    before = dict(bound)
    for new in wanted:
        old = before.get(new.contact)
        if old and old.call_id == new.call_id and new.cseq <= old.cseq:
            return None
        bound.pop(new.contact, None)
        if new.expires_at > now:
            bound[new.contact] = new
    return bound


@given(
    st.lists(
        st.tuples(st.sampled_from([10.0, 25.0, 35.0]), st.lists(a_contact, max_size=4)),
        max_size=8,
    )
)
def test_bindings_change_as_a_naive_reading_of_the_rfc_has_it(registers):
    """§10.3, step 7: all or none, in the order of the requests of one call."""
    bindings: tuple[Binding, ...] = ()
    model: dict[str, Binding] = {}
    for now, contacts in sorted(registers, key=lambda register: register[0]):
        # One request has one Call-ID and one CSeq.
        wanted = [changed(b, call_id=contacts[0].call_id, cseq=contacts[0].cseq) for b in contacts]
        expected = naive(model, wanted, now)
        if expected is None:
            with pytest.raises(Refused) as refused:
                updated_bindings(bindings, wanted, now)
            assert refused.value.status == 500
        else:
            model = expected
            bindings = updated_bindings(bindings, wanted, now)
            assert {b.contact: b for b in bindings} == model
            assert len(bindings) == len(model)


def test_of_a_contact_named_twice_the_last_value_counts():
    """§10.3, step 7 orders requests, not the values within one."""
    twice = [binding(expires_at=50.0), binding(expires_at=60.0)]
    assert updated_bindings((), twice, 0.0) == (twice[1],)
    assert updated_bindings((), [twice[0], binding(expires_at=0.0)], 0.0) == ()


@pytest.mark.parametrize(
    ("call_id", "cseq", "is_late"),
    [("call", 6, False), ("call", 5, True), ("call", 4, True), ("other", 1, False)],
)
def test_a_request_is_late_only_within_its_own_call(call_id: str, cseq: int, is_late: bool):
    """§10.3, steps 6 and 7: an equal CSeq is late too."""
    current = (binding(cseq=5),)
    for try_it in (
        lambda: updated_bindings(current, [binding(call_id=call_id, cseq=cseq)], 0.0),
        lambda: updated_bindings(current, [binding(call_id=call_id, cseq=cseq, expires_at=0)], 0.0),
        lambda: check_removal_of_all(current, call_id, cseq),
    ):
        if is_late:
            with pytest.raises(Refused) as refused:
                try_it()
            assert refused.value.status == 500
        else:
            try_it()


def test_contacts_are_one_where_their_uris_are_equal():
    """§19.1.4; and the newer text stands."""
    old, new = binding("sip:bob@Phone.example;x=1"), binding("sip:b%6fb@phone.EXAMPLE", cseq=2)
    assert updated_bindings((old,), [new], 0.0) == (new,)
    other = binding("sip:BOB@phone.example", cseq=2)
    assert updated_bindings((old,), [other], 0.0) == (old, other)


def test_a_refresh_keeps_the_place_of_its_binding():
    """So the order in which phones ring and are listed doesn't jump about."""
    current = tuple(binding(contact) for contact in CONTACTS)
    new = binding(CONTACTS[1], cseq=2)
    assert updated_bindings(current, [new], 0.0) == (current[0], new, *current[2:])


def test_a_binding_is_live_until_its_moment():
    assert live((binding(expires_at=5.0),), 4.99)
    assert not live((binding(expires_at=5.0),), 5.0)
    mixed = (binding(expires_at=9.0), binding(CONTACTS[0], expires_at=5.0))
    assert live(mixed, 6.0) == mixed[:1]


@pytest.mark.parametrize(
    ("contact", "goes_out"),
    [
        ("sip:bob@h;a=1", "sip:bob@h;a=1"),
        ("sip:bob@h;a=1?Subject=x&Replaces=y", "sip:bob@h;a=1"),
        ("sip:bob@h;method=BYE;a=1", "sip:bob@h;a=1"),
        ("sip:b?b;method=x@h:5061;Method=INVITE?a=b", "sip:b?b;method=x@h:5061"),
        ("sip:bob@h;methods=x", "sip:bob@h;methods=x"),
        ("mailto:bob@h?subject=x", "mailto:bob@h?subject=x"),
    ],
)
def test_a_target_holds_nothing_that_no_request_uri_may(contact: str, goes_out: str):
    """§16.6, step 2, and the table of §19.1.1."""
    assert binding(contact).target("bob@example.com", is_connected=False).uri_text == goes_out


def test_a_target_takes_the_flow_only_of_a_phone_behind_nat():
    plain = binding(q=500, path=("<sip:edge;lr>",)).target("bob@example.com", is_connected=False)
    hidden = binding(behind_nat=True).target("bob@example.com", is_connected=False)
    assert plain.flow is None
    assert (plain.path, plain.q) == (("<sip:edge;lr>",), 500)
    assert hidden.flow == FLOW
    assert hidden.source == FLOW.remote[0]


def test_a_target_uses_its_open_connection_unless_it_has_a_path():
    connection = FLOW._replace(transport="TCP", connection=7)
    phone = binding(flow=connection)
    assert phone.target("bob@example.com", is_connected=True).flow == connection
    assert phone.target("bob@example.com", is_connected=False).flow is None
    behind_edge = binding(flow=connection, path=("<sip:edge;lr>",))
    assert behind_edge.target("bob@example.com", is_connected=True).flow is None


# Several contacts of one phone


def test_a_contact_equal_to_several_takes_the_place_of_all():
    """§19.1.4: equality is not transitive; two that are equal never stand side by side."""
    on, off = binding("sip:c@h;security=on"), binding("sip:c@h;security=off")
    other = binding("sip:d@h")
    assert updated_bindings((), [on, other, off], 0.0) == (on, other, off)
    plain = binding("sip:c@h", cseq=2)
    assert updated_bindings((on, other, off), [plain], 0.0) == (plain, other)
    assert updated_bindings((on, other, off), [changed(plain, expires_at=0.0)], 0.0) == (other,)
    with pytest.raises(Refused):
        updated_bindings((on, other, changed(off, cseq=2)), [plain], 0.0)
    again = binding("sip:c@h;security=off", cseq=3)
    assert updated_bindings((plain, other), [again], 0.0) == (again, other)


ELSEWHERE = FLOW._replace(remote=("198.51.100.7", 40_001))


@pytest.mark.parametrize(
    ("old", "new", "is_moved"),
    [
        ({}, {}, True),
        ({}, {"call_id": "other"}, False),
        ({}, {"cseq": 1}, False),
        ({}, {"flow": FLOW}, False),
        ({}, {"expires_at": 0.0}, False),
        ({"behind_nat": False}, {}, True),  # as pjsua2 does: it uses the address given by its NAT
        ({"behind_nat": False}, {"call_id": "other"}, False),
        ({"behind_nat": False}, {"contact": "sip:b@198.51.100.7:5060"}, False),
        ({"behind_nat": False, "contact": "sip:b@198.51.100.7"}, {}, False),
        ({"instance": "<urn:x>"}, {"instance": "<urn:x>", "call_id": "other"}, True),
        ({"instance": "<urn:x>"}, {"instance": "<urn:y>", "call_id": "other"}, False),
        ({"instance": "<urn:x>"}, {"instance": "<urn:x>", "call_id": "o", "reg_id": 2}, False),
    ],
)
def test_a_new_nat_port_replaces_the_old_binding(old: dict, new: dict, is_moved: bool):
    """RFC 5626 §6: the flow was the only way to it."""
    before = changed(binding("sip:b@198.51.100.7:40000", behind_nat=True), **old)
    after = changed(binding("sip:b@198.51.100.7:40001", cseq=2, flow=ELSEWHERE), **new)
    bound = updated_bindings((before,), [after], 0.0)
    assert (before not in bound) == is_moved


X, Y = "<urn:uuid:x>", "<urn:uuid:y>"
BY_TCP = Flow("TCP", FLOW.local, ("198.51.100.7", 40_000), 7)
CAME_BACK = [  # parts that are equal and different in the old and new binding, and the number left
    # RFC 5626 §6: one instance, on its own address, behind NAT, by another transport.
    ({"instance": X}, {"instance": X}, 1),
    ({"instance": X}, {"instance": X, "call_id": "call"}, 1),
    ({"instance": X, "reg_id": 1}, {"instance": X, "reg_id": 1}, 1),
    ({"instance": X, "behind_nat": True}, {"instance": X}, 1),
    ({"instance": X}, {"instance": X, "flow": BY_TCP}, 1),
    ({"instance": X, "path": ("<sip:a;lr>",)}, {"instance": X, "path": ("<sip:b;lr>",)}, 1),
    ({"instance": X}, {"instance": X.upper()}, 1),
    # Flows of one instance side by side, and other instances.
    ({"instance": X, "reg_id": 1}, {"instance": X, "reg_id": 2}, 2),
    ({"instance": X, "reg_id": 1}, {"instance": X, "reg_id": 2, "call_id": "call"}, 2),
    ({"instance": X, "reg_id": 1}, {"instance": X, "reg_id": 2, "flow": FLOW}, 2),
    ({"instance": X, "reg_id": 1}, {"instance": Y, "reg_id": 1}, 2),
    ({}, {}, 2),
    # One socket, started anew.
    ({}, {"flow": FLOW}, 1),
    ({"behind_nat": True}, {"flow": FLOW, "behind_nat": True}, 1),
    ({"instance": X}, {"instance": Y, "flow": FLOW}, 1),
    ({"flow": BY_TCP}, {"flow": BY_TCP}, 1),
    ({"contact": "sip:old@phone.example"}, {"contact": "sip:b@phone.example", "flow": FLOW}, 1),
    # One program that binds a second contact, one socket of another kind, a proxy's socket, and one
    # that registers contacts which lead elsewhere.
    ({}, {"flow": FLOW, "call_id": "call"}, 2),
    ({}, {"flow": BY_TCP}, 2),
    ({"path": ("<sip:a;lr>",)}, {"flow": FLOW, "path": ("<sip:a;lr>",)}, 2),
    ({}, {"flow": FLOW, "is_proxied": True}, 2),
    ({"contact": "sip:b@203.0.113.1"}, {"contact": "sip:b@203.0.113.2", "flow": FLOW}, 2),
    ({"contact": "sip:ann@example.com"}, {"flow": FLOW}, 2),
    ({"contact": "mailto:b@h.org"}, {"flow": FLOW}, 2),
]


@pytest.mark.parametrize(("old", "new", "count"), CAME_BACK)
def test_a_phone_that_came_back_is_bound_once(old: dict, new: dict, count: int):
    """RFC 5626 §6, §10.2: by its instance and reg-id, by its socket, or by its Call-ID."""
    before = changed(binding("sip:old@198.51.100.7:40000"), **old)
    plain = binding("sip:b@198.51.100.7:5070", cseq=2, call_id="other", flow=ELSEWHERE)
    after = changed(plain, **new)
    assert updated_bindings((before,), [after], 0.0) == (before, after)[2 - count :]


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ({}, {}, 2),
        # No instance, or one alone: equal URIs are one binding (§10.3, step 7).
        ({"instance": ""}, {"instance": ""}, 1),
        ({}, {"instance": ""}, 1),
        ({}, {"instance": X}, 1),
        # One network, or a Contact that means the same place everywhere.
        ({}, {"flow": FLOW}, 1),
        ({}, {"flow": ELSEWHERE}, 1),
        ({"behind_nat": False}, {"behind_nat": False}, 1),
        ({"behind_nat": False}, {}, 1),
    ],
)
def test_one_private_contact_in_two_homes_is_two_phones(old: dict, new: dict, count: int):
    """RFC 5626 §6: phones with instance ids; every home has a 192.168.1.20."""
    contact = "sip:bob@192.168.1.20:5060"
    home = changed(binding(contact, instance=X, behind_nat=True), **old)
    office_flow = FLOW._replace(remote=("203.0.113.5", 40_000))
    office = changed(
        binding(contact, instance=Y, behind_nat=True, call_id="office", flow=office_flow), **new
    )
    bound = updated_bindings((home,), [office], 0.0)
    assert bound == (home, office)[2 - count :]
    gone = changed(office, cseq=2, expires_at=0.0)
    assert updated_bindings(bound, [gone], 0.0) == (home, office)[: count - 1]


@pytest.mark.parametrize("reg_ids", [(0, 0), (1, 2)])
def test_contacts_of_one_register_stand_side_by_side(reg_ids: tuple[int, int]):
    """A phone may bind itself by UDP and TCP at once, and again after it has moved."""
    first, second = (
        [
            binding(f"sip:bob@{host}{kind}", instance=X, reg_id=reg_id, call_id=host, flow=flow)
            for kind, reg_id in zip(("", ";transport=tcp"), reg_ids, strict=True)
        ]
        for host, flow in (("198.51.100.7", FLOW), ("198.51.100.8", ELSEWHERE))
    )
    bound = updated_bindings((), first, 0.0)
    assert bound == tuple(first)
    again = [changed(each, cseq=2) for each in first]
    assert updated_bindings(bound, again[:1], 0.0) == (again[0], first[1])
    assert updated_bindings(bound, again, 0.0) == tuple(again)
    assert updated_bindings(bound, second, 0.0) == tuple(second)
    # One is new and the other is named: it is refreshed in its order, not removed and bound anew.
    mixed = [changed(second[0], call_id=first[0].call_id, cseq=2), changed(first[1], cseq=2)]
    assert set(updated_bindings(bound, mixed, 0.0)) == set(mixed)
    with pytest.raises(Refused):
        updated_bindings(bound, [mixed[0], changed(first[1])], 0.0)


def test_a_delayed_duplicate_brings_no_old_contact_back():
    """§10.3, step 7: the order holds for an instance with any Contact."""
    now = binding("sip:new@h", instance=X, cseq=2, flow=ELSEWHERE)
    late = binding("sip:old@h", instance=X, cseq=1)
    with pytest.raises(Refused) as refused:
        updated_bindings((now,), [late], 0.0)
    assert refused.value.status == 500
    assert updated_bindings((now,), [changed(late, call_id="other")], 0.0)


@pytest.mark.parametrize(
    ("said", "keeps"),
    [
        # The same Contact again, another from elsewhere, and another with the old one taken back.
        ([{"cseq": 2}], True),
        ([{"cseq": 2, "contact": "sip:b@198.51.100.7:40001", "flow": ELSEWHERE}], True),
        ([{"cseq": 2, "contact": "sip:new@h"}, {"cseq": 2, "expires_at": 0.0}], True),
        ([{"cseq": 2, "contact": "sip:new@h"}], False),
        ([{"call_id": "other"}], False),
    ],
)
def test_a_phone_that_names_its_instance_no_more_keeps_it(said: list[dict], keeps: bool):
    """§10.2: one Call-ID is one user agent; pjsip names its instance in the first REGISTER."""
    plain = binding("sip:b@198.51.100.7:40000", behind_nat=True)
    before = changed(plain, instance=X, reg_id=1)
    bound = updated_bindings((before,), [changed(plain, **more) for more in said], 0.0)
    assert (bound[-1].instance, bound[-1].profile.reg_id) == ((X, 1) if keeps else ("", 0))


def test_an_instance_may_be_named_in_the_contact_that_goes_alone():
    """After a restart nothing else may know it."""
    new = binding("sip:new@h", cseq=2)
    gone = binding("sip:old@h", 0.0, cseq=2, instance=X, reg_id=1)
    (bound,) = updated_bindings((), [new, gone], 0.0)
    assert (bound.instance, bound.profile.reg_id) == (X, 1)


def test_a_goodbye_removes_its_own_contact_alone():
    """§10.2.2: a phone may take back its old Contact after it has bound the new one."""
    now = binding("sip:new@h", instance=X, reg_id=1)
    gone = binding("sip:old@h", 0.0, instance=X, reg_id=1, cseq=2)
    assert updated_bindings((now,), [gone], 0.0) == (now,)


@pytest.mark.parametrize(
    ("contact", "more", "ends"),
    [
        ("sip:b@198.51.100.7:40000;transport=tcp", {}, True),
        ("sip:b@198.51.100.7:40000", {}, True),
        ("sip:b@198.51.100.7:40000;transport=udp", {}, False),
        ("sip:b@198.51.100.7:5060;transport=tcp", {}, False),
        ("sip:b@192.168.1.20:5060;transport=tcp", {"behind_nat": True}, True),
        ("sip:b@phone.example;transport=tcp", {}, False),
        ("sip:b@198.51.100.7:40000;transport=tcp", {"path": ("<sip:a;lr>",)}, False),
        ("sip:b@198.51.100.7:40000", {"flow": FLOW}, False),
    ],
)
def test_which_bindings_end_with_their_connection(contact: str, more: dict, ends: bool):
    """RFC 5626 §5.3: nothing else leads there; with a Path the connection is the proxy's."""
    assert changed(binding(contact, flow=BY_TCP), **more).ends_with_connection == ends


# The limit

FULL = tuple(
    binding(
        f"sip:bob@10.0.0.{n}",
        call_id=str(n),
        user_agent=f"Phone/{n}",
        lifetime=100 + n,  # registered at -n
        flow=FLOW._replace(remote=(f"10.0.0.{n}", 5060)),
    )
    for n in range(MAX_CONTACTS)
)
ONE_MORE = binding(
    "sip:bob@10.0.1.1",
    user_agent="Phone/3",
    flow=FLOW._replace(remote=("10.0.0.3", 6000)),
)


def test_twenty_contacts_are_bound_and_what_makes_room_counts():
    """RFC 5393 §5: bindings that are removed in the same request, or have expired, make room."""
    assert within_limit(updated_bindings((), FULL, 0.0), FULL, 0.0) == (FULL, ())
    gone = binding("sip:bob@10.0.0.0", call_id="0", cseq=2, expires_at=0.0)
    more = changed(ONE_MORE, call_id="0", cseq=2)
    bound = updated_bindings(FULL, [more, gone], 0.0)
    assert within_limit(bound, [more, gone], 0.0) == ((*FULL[1:], more), ())


@pytest.mark.parametrize(
    ("kept", "new", "number"),
    [
        ({}, {}, 3),
        ({3: {"user_agent": "Phone/3.1"}}, {}, None),
        ({}, {"flow": FLOW._replace(remote=("10.0.0.30", 5060))}, None),
        ({}, {"user_agent": "Phone/4"}, None),
        ({}, {"instance": X}, 3),
        # The oldest of several; each refresh makes one young again.
        ({8: {"user_agent": "Phone/3", "flow": FULL[3].flow}}, {}, 8),
        (
            {8: {"user_agent": "Phone/3", "flow": FULL[3].flow, "lifetime": 99}},
            {},
            3,
        ),
        # By its instance a device is known wherever it is, and by the network of IPv6.
        ({5: {"instance": X, "reg_id": 4}}, {"instance": X, "reg_id": 9, "user_agent": ""}, 5),
        (
            {5: {"user_agent": "", "flow": FLOW._replace(remote=("2001:db8::5:1", 5060))}},
            {"user_agent": "", "flow": FLOW._replace(remote=("2001:db8::7:2", 5060))},
            5,
        ),
        # Behind a proxy the address is that of the Contact.
        ({}, {"path": ("<sip:a;lr>",)}, None),
        (
            {3: {"path": ("<sip:a;lr>",)}},
            {"path": ("<sip:b;lr>",), "contact": "sip:x@10.0.0.3"},
            None,
        ),
        # A phone that has a new instance at each start, behind a new address each time.
        (
            {4: {"contact": "sip:b@192.168.1.20", "instance": X, "behind_nat": True}},
            {"contact": "sip:b@192.168.1.20", "instance": Y, "behind_nat": True},
            4,
        ),
        (
            {n: {"path": ("<sip:a;lr>",), "user_agent": "Phone/3", "flow": FLOW} for n in (3, 9)},
            {"path": ("<sip:a;lr>",), "flow": FLOW, "contact": "sip:x@10.0.0.3"},
            3,
        ),
    ],
)
def test_at_the_limit_the_oldest_of_the_same_device_goes(kept: dict, new: dict, number):
    """§21.4.4, §21.5.4: else it is 503 with Retry-After, and never 403."""
    full = tuple(changed(each, **kept.get(n, {})) for n, each in enumerate(FULL))
    more = changed(ONE_MORE, **new)
    bound = updated_bindings(full, [more], 0.0)
    assert len(bound) == MAX_CONTACTS + 1
    if number is None:
        with pytest.raises(Refused) as refused:
            within_limit(bound, [more], 0.0)
        assert (refused.value.status, refused.value.extra) == (503, (("Retry-After", "60"),))
        return
    stays, removed = within_limit(bound, [more], 0.0)
    assert removed == (full[number],)
    assert stays == tuple(each for each in bound if each is not full[number])


def test_at_the_limit_several_contacts_are_bound_all_or_none():
    """§10.3, step 7; and a phone is told when the first place becomes free, or to look again."""
    wanted = [changed(ONE_MORE, contact=f"sip:{n}@h", call_id="z") for n in range(2)]
    bound = updated_bindings(FULL, wanted, 90.5)
    with pytest.raises(Refused) as refused:
        within_limit(bound, wanted, 90.5)
    assert refused.value.extra == (("Retry-After", "10"),)
    _, removed = within_limit(bound[1:], wanted, 90.5)
    assert removed == (FULL[3],)


# The answer


def test_its_own_contacts_come_first_in_the_order_of_the_request():
    """§10.3, step 8: many phones read the lease of the first."""
    a, b, c, d, e = (binding(f"sip:{name}@h", call_id=name, flow=ELSEWHERE) for name in "abcde")
    mine = changed(d, flow=FLOW)
    bound = (a, b, c, mine, e)
    gone = binding("sip:gone@h", 0.0)
    assert list(own_first(bound, [e, gone, b], "a", FLOW)) == [e, b, a, mine, c]
    assert list(own_first(bound, [], "", FLOW)) == [mine, a, b, c, e]
    assert list(own_first((a,), [], "", FLOW)) == [a]
