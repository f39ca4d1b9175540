"""Requests that arrive twice, because a proxy before us has forked them (RFC 3261 §8.2.2.2)."""

import pytest

from sip.message.message import Request
from tests.support.world import Phone, World


def by_another_way(request: Request) -> Request:
    """The same request as it comes through another proxy: with another branch."""
    other = request.copy()
    at = other.names.index("via")
    other.lines[at] = other.lines[at].replace("branch=z9hG4bK", "branch=z9hG4bKother")
    return other


def registers(phone: Phone) -> Request:
    """The REGISTER with credentials that was answered 200."""
    request = phone.sends("REGISTER", "sip:example.com", to=f"<{phone.aor}>")
    phone.gets(200, request)
    return request


def test_a_merged_register_gets_482_while_the_first_is_held(world: World):
    """§8.2.2.2: for as long as repeats of the first are answered (timer J); each is another."""
    alice = world.phone("alice", registered=False)
    first = registers(alice)
    merged = by_another_way(first)
    for seconds in (0, 10, 21.5):
        world.passes(seconds, step=0.5)
        alice.transmits(merged)
        assert alice.gets(482, first).cseq == first.cseq
        alice.transmits(first)
        alice.gets(200, first)
    assert len(world.server.layer.servers) == 1
    world.passes(1)
    alice.transmits(merged)
    assert alice.takes().status != 482
    world.passes(33, step=0.5)
    assert world.is_quiet


def test_a_stateless_refusal_makes_no_later_request_merged(world: World):
    """§8.2.7: each copy without credentials is challenged; a copy with them is served at once."""
    alice = world.phone("alice", registered=False)
    asks = alice.request("REGISTER", "sip:example.com", to=f"<{alice.aor}>")
    alice.transmits(asks)
    challenge = alice.gets(401)
    alice.transmits(by_another_way(asks))
    alice.gets(401)
    proves = alice.with_credentials(asks, challenge)
    proves.set("cseq", f"CSeq: {asks.cseq[0]} REGISTER")  # against §22.2, but some phones do
    alice.transmits(proves)
    alice.gets(200)


def test_the_next_register_of_a_phone_is_no_merged_one(world: World):
    """§10.2.4: the same From tag and Call-ID, but the next CSeq."""
    alice = world.phone("alice")
    for number in range(1, 4):
        alice.registers(call_id="one", from_tag="one", cseq=10 * number)
        assert alice.hears_nothing()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "FLY"])
def test_merged_requests_are_for_the_phones_to_judge(world: World, method: str):
    """§16.3; RFC 5393 §4.2.2: to the proxy they are no error and no loop; the phone decides."""
    bob = world.phone("bob")
    carol = world.phone("carol", registered=False)
    carol.aor = "sip:carol@elsewhere.example"
    first = carol.sends(method, bob.aor)
    carol.transmits(by_another_way(first))
    ways = bob.gets(method), bob.gets(method)
    assert ways[0].via.branch != ways[1].via.branch
    assert ways[0].cseq == ways[1].cseq == first.cseq
    bob.answers(ways[1], 482)
    carol.gets(482)
    bob.answers(ways[0], 200)
    carol.gets(200)


def test_an_options_to_the_server_is_answered_each_time(world: World):
    """§8.2.7: without a transaction none is ongoing."""
    alice = world.phone("alice")
    asks = alice.request("OPTIONS", "sip:example.com")
    for request in (asks, by_another_way(asks)):
        alice.transmits(request)
        alice.gets(200, asks)
