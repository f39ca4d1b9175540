"""The queue of events: its bounds, its order, and the share of refusals."""

from sip.monitor.event_queue import EventQueue


def filled(size: int, refusals: int, items: str) -> EventQueue[str]:
    """A queue after these events; those in lower case are refusals."""
    queue: EventQueue[str] = EventQueue(size, refusals)
    for item in items:
        queue.put(item, is_refusal=item.islower())
    return queue


def taken(queue: EventQueue[str]) -> str:
    return "".join([queue.take() for _ in range(len(queue))])


def test_a_full_queue_loses_its_oldest_event():
    queue = filled(3, 1, "ABCDE")
    assert (taken(queue), queue.lost) == ("CDE", 2)


def test_refusals_have_a_share():
    queue = filled(5, 2, "AbcdeF")
    assert (taken(queue), queue.lost) == ("AbcF", 2)


def test_a_refusal_pushes_nothing_out():
    queue = filled(3, 2, "ABCd")
    assert (taken(queue), queue.lost) == ("ABC", 1)


def test_refusals_that_are_taken_or_lost_free_their_share():
    queue = filled(2, 1, "aB")
    assert queue.take() == "a"
    queue.put("c", is_refusal=True)
    queue.put("D", is_refusal=False)
    queue.put("E", is_refusal=False)
    queue.take()
    queue.put("f", is_refusal=True)
    assert (taken(queue), queue.lost) == ("Ef", 2)
