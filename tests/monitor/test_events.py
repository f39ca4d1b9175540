"""The event bus: classes, listeners and bounded readers."""

import logging
from dataclasses import dataclass

from sip.monitor.events import Bus


@dataclass(frozen=True, slots=True)
class Rang:
    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    number: int


def test_an_event_reaches_the_listeners_of_its_class():
    bus, heard = Bus(), []
    bus.listen(Rang, heard.append)
    bus.publish(Rang(1))
    bus.publish(Ended(2))
    assert heard == [Rang(1)]


def test_a_class_without_listener_is_known_as_such():
    bus = Bus()
    assert not bus.has_listener(Rang)
    reader = bus.read(Rang, Ended)
    assert bus.has_listener(Rang)
    reader.close()
    assert not bus.has_listener(Rang)
    assert not bus.has_listener(Ended)


def test_a_full_reader_drops_its_oldest_events():
    bus = Bus()
    reader = bus.read(Rang, limit=2)
    for number in range(5):
        bus.publish(Rang(number))
    assert len(reader) == 2
    assert reader.lost == 3
    assert reader.take() == [Rang(3), Rang(4)]
    assert reader.take() == []


def test_a_listener_that_fails_is_logged_alone(caplog):
    bus, heard = Bus(), []
    bus.listen(Rang, lambda event: 1 / 0)
    bus.listen(Rang, heard.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(Rang(1))
    assert heard == [Rang(1)]
    assert "unhandled error of a listener to Rang" in caplog.text
