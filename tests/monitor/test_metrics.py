"""Counters and their keys."""

import re

from sip.monitor import metrics
from sip.monitor.metrics import Counters, metric, refusals


def test_a_key_is_what_prometheus_writes():
    assert metric("requests_retransmitted") == "requests_retransmitted"
    assert metric("a", reason="b", side="c") == 'a{reason="b",side="c"}'
    assert (
        refusals(404) == metric("requests_refused", status=404) == 'requests_refused{status="404"}'
    )


def test_a_counter_is_increased_by_key_or_by_name():
    counters = Counters()
    counters[metrics.DROPPED_BANNED] += 1
    counters.increment("messages_dropped", 2, reason="banned")
    counters.increment("messages_unsent")
    assert counters == {'messages_dropped{reason="banned"}': 3, "messages_unsent": 1}


def test_every_key_is_well_formed_and_there_once():
    keys = [value for name, value in vars(metrics).items() if name.isupper()]
    assert len(keys) == len(set(keys)) > 10
    for key in keys:
        assert re.fullmatch(r'[a-z_]+(\{[a-z_]+="[a-z_]+"\})?', key)
