"""Users whose phones have gone without a word."""

import pytest

from sip.monitor.events import (
    UNREGISTERED_BY_ADMIN,
    UNREGISTERED_BY_CLOSE,
    UNREGISTERED_BY_PHONE,
    UNREGISTERED_BY_TIME,
    Bus,
    Registered,
    Unregistered,
)
from sip.monitor.lost_phones import MAX_LOST, LostPhones

HERE = ("192.0.2.44", 5060)


def goes(bus: Bus, user_id: int, reason: str = UNREGISTERED_BY_TIME) -> None:
    who = (user_id, f"user{user_id}", "example.com", "sip:x@192.0.2.44", "Door", HERE, "UDP")
    bus.publish(Unregistered(1000.0 + user_id, *who, reason))


def comes(bus: Bus, user_id: int) -> None:
    who = (user_id, f"user{user_id}", "example.com", "sip:x@192.0.2.44", "Door", HERE, "UDP")
    bus.publish(Registered(2000.0, *who, False, 5600.0, False))


def test_a_phone_is_lost_until_one_registers_again():
    bus = Bus()
    lost = LostPhones(bus)
    goes(bus, 1)
    goes(bus, 2, UNREGISTERED_BY_CLOSE)
    assert [(each.user_id, each.device, each.address) for each in lost.latest()] == [
        (2, "Door", HERE),
        (1, "Door", HERE),
    ]
    comes(bus, 2)
    assert [each.user_id for each in lost.latest()] == [1]


@pytest.mark.parametrize("reason", [UNREGISTERED_BY_PHONE, UNREGISTERED_BY_ADMIN])
def test_a_phone_that_signs_off_is_not_lost(reason):
    bus = Bus()
    lost = LostPhones(bus)
    goes(bus, 1)
    goes(bus, 1, reason)
    assert not lost.latest()


def test_the_number_of_lost_phones_is_bounded():
    bus = Bus()
    lost = LostPhones(bus)
    for user_id in range(MAX_LOST + 5):
        goes(bus, user_id)
    assert len(lost.latest()) == MAX_LOST
    assert lost.latest()[0].user_id == MAX_LOST + 4, "the oldest are removed"
