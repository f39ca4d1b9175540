"""Mailboxes, turns and random tokens."""

import contextlib
import re

import gevent

from sip.transaction.mailbox import Mailbox, Turns
from sip.transaction.tokens import Tokens


def test_items_come_out_in_order_and_need_no_wait():
    """First in, first out."""
    box = Mailbox()
    for item in (1, 2, 3):
        box.put(item)
    assert [box.get(), box.get()] == [1, 2]
    assert box.take_all() == [3]
    assert box.take_all() == []


def test_a_reader_waits_until_a_put():
    """Only its own greenlet waits."""
    box, got = Mailbox(), []
    reader = gevent.spawn(lambda: got.append(box.get()))
    gevent.sleep(0)
    assert got == []
    box.put(None)
    reader.join(10)
    assert got == [None]


def test_many_items_in_one_turn_wake_the_reader_once():
    """A second wake-up would reach the next place where it waits."""
    box, got = Mailbox(), []

    def read():
        got.append(box.get())
        gevent.sleep(0.01)  # gevent raises if another switch wakes this
        got.extend([box.get(), box.get()])

    reader = gevent.spawn(read)
    gevent.sleep(0)
    for item in (1, 2, 3):
        box.put(item)
    reader.join(10)
    assert reader.successful()
    assert got == [1, 2, 3]


def test_a_put_does_not_wake_a_reader_after_its_timeout():
    """The reader waits elsewhere by then."""
    box, slept = Mailbox(), []

    def read():
        with gevent.Timeout(0.001, False):
            box.get()
        gevent.sleep(0.01)
        slept.append(True)

    reader = gevent.spawn(read)
    gevent.sleep(0)
    gevent.sleep(0.002)
    box.put("too late")
    reader.join(10)
    assert reader.successful()
    assert slept == [True]
    assert box.get() == "too late"


def test_an_item_and_a_timeout_in_one_turn_wake_the_reader_once():
    """In either order; the item stays for the next reader."""
    box, slept = Mailbox(), []

    def read():
        try:
            box.get()
        except KeyError:
            gevent.sleep(0.01)
            slept.append(True)

    reader = gevent.spawn(read)
    gevent.sleep(0)
    gevent.get_hub().loop.run_callback(lambda: reader.throw(KeyError()))
    box.put("an item")
    reader.join(10)
    assert reader.successful()
    assert slept == [True]
    assert box.take_all() == ["an item"]


def test_a_killed_reader_is_not_woken():
    """The next reader gets the item."""
    box = Mailbox()
    reader = gevent.spawn(box.get)
    gevent.sleep(0)
    reader.kill()
    box.put(1)
    gevent.sleep(0)
    assert gevent.spawn(box.get).get(timeout=10) == 1


def test_tokens_are_64_bits_and_never_the_same():
    """RFC 3261 §19.3 wants 32 bits of randomness; a branch must not be guessable."""
    draw = Tokens()
    drawn = [draw() for _ in range(5000)]
    assert len(set(drawn)) == 5000
    assert all(re.fullmatch("[0-9a-f]{16}", token) for token in drawn)
    assert not set(drawn) & {Tokens()() for _ in range(1000)}


def test_tokens_come_from_the_system(monkeypatch):
    """Not from a generator with a state that can be computed from its output."""
    asked = []
    monkeypatch.setattr("os.urandom", lambda size: asked.append(size) or bytes(range(256)) * 16)
    draw = Tokens()
    assert draw() == "f8f9fafbfcfdfeff"
    assert draw() == "f0f1f2f3f4f5f6f7"
    assert asked == [4096]


def test_turns_are_in_the_order_of_their_places():
    """Each line by itself; a failure within a turn ends it, too."""
    turns, done = Turns(), []
    first = turns.take("a")

    def work(name, place, turn):
        with contextlib.suppress(ValueError), turn:
            gevent.sleep(0)
            done.append((name, place))
            raise ValueError

    workers = [gevent.spawn(work, "a", place, turns.take("a")) for place in (1, 2)]
    workers.append(gevent.spawn(work, "b", 1, turns.take("b")))
    workers[2].join(10)
    assert done == [("b", 1)]
    with first:
        done.append(("a", 0))
    gevent.joinall(workers, 10)
    assert done[1:] == [("a", 0), ("a", 1), ("a", 2)]
    assert not turns.is_taken("a")
    assert len(turns) == 0
