"""The DNS cache, and the bound of questions on their way (RFC 1035, 2308)."""

import gevent
import pytest

from sip.transport.dns import cache as module
from sip.transport.dns.cache import DnsCache
from sip.transport.dns.client import NoAnswer, Records
from tests.support.fake_dns import FakeDns


@pytest.fixture
def zone() -> FakeDns:
    return FakeDns()


@pytest.fixture
def answers(zone: FakeDns) -> DnsCache:
    return DnsCache(zone, lambda: 1000.0)


def ask(answers: DnsCache, name: str) -> Records | NoAnswer:
    return answers.answers([(name, "A")])[name, "A"]


def test_equal_questions_are_asked_once(answers: DnsCache, zone: FakeDns):
    said = answers.answers([("a.net", "A"), ("a.net", "A"), ("b.net", "A")])
    assert list(said) == zone.asked == [("a.net", "A"), ("b.net", "A")]


def test_cached_records_are_limited(answers: DnsCache, zone: FakeDns, monkeypatch):
    """The oldest make room; an answer that there is nothing counts too."""
    monkeypatch.setattr(module, "MAX_CACHED_RECORDS", 10)
    zone.records = {(f"h{number}.net", "A"): ["192.0.2.1"] * (number % 5) for number in range(30)}
    for number in range(30):
        ask(answers, f"h{number}.net")
        rows = [max(1, len(answer.found)) for _, answer in answers._cached.values()]
        assert sum(rows) == answers._records <= 10
    zone.asked.clear()
    ask(answers, "h29.net")
    assert zone.asked == []
    ask(answers, "h0.net")
    assert zone.asked


def test_an_answer_in_place_of_another_is_counted_once(zone: FakeDns):
    zone.seconds = 0.0
    answers = DnsCache(zone, lambda: 1000.0)
    for _ in range(3):
        ask(answers, "a.net")
    assert answers._records == 1


def test_a_missing_answer_keeps_only_its_reason(answers: DnsCache, zone: FakeDns):
    """An exception that was raised would keep alive all that it has come through."""
    zone.is_dead = True
    answer = ask(answers, "a.net")
    assert isinstance(answer, NoAnswer)
    assert str(answer) == "no name server answers"
    assert (answer.__traceback__, answer.__context__) == (None, None)


def test_pending_questions_are_limited(answers: DnsCache, zone: FakeDns, monkeypatch):
    """Beyond, one is as good as unanswered, and asked anew the next time."""
    monkeypatch.setattr(module, "MAX_PENDING_QUESTIONS", 20)
    zone.waits()
    for number in range(30):
        gevent.spawn(ask, answers, f"h{number}.net")
    gevent.sleep(0)
    assert len(zone.asked) == 20
    assert isinstance(ask(answers, "h29.net"), NoAnswer)
    zone.answers()
    assert isinstance(ask(answers, "h29.net"), Records)
