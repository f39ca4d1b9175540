"""The alarm: an event at a time, unless it is ended before."""

from sip.transaction.alarm import Alarm
from sip.transaction.branch_event import BranchEvent
from sip.transaction.mailbox import Mailbox
from sip.transaction.timers import Timers
from sip.transport.flow import Flow

FLOW = Flow("UDP", ("192.0.2.1", 5060), ("192.0.2.9", 5060))


def test_an_alarm_puts_its_event_once():
    mailbox, event, timers = Mailbox(), BranchEvent(None, 0, None), Timers(0.0)
    timers.add(Alarm(mailbox, event, 5.0, FLOW))
    for now in (4.9, 5.1, 10.0):
        for machine in timers.due(now):
            assert machine.tick(now) is None
            assert machine.is_over
    assert mailbox.take_all() == [event]


def test_an_ended_alarm_puts_nothing():
    mailbox, timers = Mailbox(), Timers(0.0)
    alarm = Alarm(mailbox, BranchEvent(None, 0, None), 5.0, FLOW)
    timers.add(alarm)
    alarm.end()
    assert timers.due(6.0) == []
    assert len(timers) == 0
