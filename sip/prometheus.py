"""The metrics of the server in the text format of Prometheus, read from its parts when asked for.

Problem: a counter object of a metrics library costs a lock and some look-ups in each message.
Model: each part counts in its own dictionary, as before.  A collector reads these numbers when
    /metrics is asked for, so a message pays for nothing else.
Invariant: a label has values of this program only: no user, no address, no unknown method.
Bounds: some 200 lines; reading takes a millisecond, or five with 20,000 calls.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from sip import __version__
from sip.core.causes import CAUSES, NO_CREDENTIALS
from sip.monitor import metrics
from sip.monitor.calls import CallResult, Calls, CallState
from sip.monitor.events import Bus
from sip.monitor.histogram import BOUNDS, Histogram
from sip.monitor.metrics import CLOSED_OVERLOAD, DROPPED_TRANSACTION_LIMIT
from sip.server import SipServer
from sip.store.database import Database
from sip.store.users import Users

_PREFIX = "sipserver_"
_KEY = re.compile(r'(?P<name>\w+)(?:\{(?P<label>\w+)="(?P<value>\w+)"\})?')
# All keys: a counter that has counted nothing yet is 0, not missing.
_KEYS = (
    *(str(value) for name, value in vars(metrics).items() if name.isupper()),
    *(metrics.refusals(cause) for cause in CAUSES if cause != NO_CREDENTIALS.code),
)
_STATES = (CallState.RINGING, CallState.TALKING)
_RESULTS = (
    CallResult.ANSWERED,
    CallResult.MISSED,
    CallResult.BUSY,
    CallResult.DECLINED,
    CallResult.CANCELLED,
    CallResult.REFUSED,
    CallResult.FAILED,
)
# What each counter of sip/monitor/metrics.py counts, for its HELP line.
_HELP = {
    "connections_closed": "Connections that this server closed, by reason.",
    "connections_refused": "Connections that were refused because there were too many.",
    "database_errors": "Database transactions that SQLite or the disk refused.",
    "keepalives_received": "Keep-alives received by UDP.",
    "keepalives_unsent": "Keep-alives that could not be sent.",
    "messages_dropped": "Messages that were neither answered nor forwarded, by reason.",
    "messages_malformed": "Messages that cannot be parsed.",
    "messages_unsent": "Messages that could not be sent.",
    "refusals_unsent": "Refusals of malformed requests that could not be sent.",
    "refusals": "Requests that this server refused, by the key of the cause.",
    "requests_retransmitted": "Requests that clients repeated.",
    "responses_unacknowledged": "Failures of an INVITE that got no ACK.",
    "responses_unmatched": "Responses that belong to no request.",
}


class Metrics:
    """All metrics of a server.

    `in_thread` runs a function in a real thread: to count 20,000 descriptors takes 20 ms.
    """

    def __init__(
        self,
        server: SipServer,
        users: Users,
        calls: Calls,
        database: Database,
        bus: Bus,
        in_thread: Callable[[Callable[[], bytes]], bytes],
    ) -> None:
        self._server = CollectorRegistry()
        self._server.register(_Collector(server, users, calls, database, bus))
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._in_thread = in_thread

    def text(self) -> bytes:
        """Return all metrics in the text format.  May wait for the thread."""
        process = self._in_thread(lambda: generate_latest(self._process))
        return generate_latest(self._server) + process


class _Collector(Collector):
    """Makes the metrics from the present numbers."""

    def __init__(
        self,
        server: SipServer,
        users: Users,
        calls: Calls,
        database: Database,
        bus: Bus,
    ) -> None:
        self._server = server
        self._users = users
        self._calls = calls
        self._database = database
        self._bus = bus

    def describe(self) -> Iterator[Metric]:
        """Return nothing: the names need not be known before the first reading."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its present values."""
        yield _gauge("info", "The version of the server.", "version", {__version__: 1})
        yield from self._messages()
        yield from self._calls_and_users()
        yield from self._resources()
        yield from self._troubles()
        yield from self._other_counters()

    def _messages(self) -> Iterator[Metric]:
        layer = self._server.layer
        requests = CounterMetricFamily(
            f"{_PREFIX}requests",
            "Requests received, without retransmissions and malformed ones.",
            labels=("method", "transport"),
        )
        for (method, transport), count in sorted(layer.requests.items()):
            requests.add_metric((method, transport), count)
        yield requests
        responses = CounterMetricFamily(
            f"{_PREFIX}responses",
            "Responses sent, forwarded ones included, without retransmissions.",
            labels=("method", "class"),
        )
        for (method, digit), count in sorted(layer.responses.items()):
            responses.add_metric((method, f"{digit}xx"), count)
        yield responses
        sides = {"client": len(layer.clients), "server": len(layer.servers)}
        yield _gauge("transactions", "Transactions in memory.", "side", sides)

    def _calls_and_users(self) -> Iterator[Metric]:
        location = self._server.location
        yield _gauge(
            "registrations", "Contacts that are registered now.", "", location.binding_count
        )
        yield _gauge("users", "Accounts, disabled ones included.", "", len(self._users))
        states = dict.fromkeys(_STATES, 0)
        for call in self._calls.now():
            if call.state in states:
                states[call.state] += 1
        yield _gauge("calls", "Calls that ring or talk now.", "state", states)
        results = dict.fromkeys(_RESULTS, 0) | self._calls.results
        yield _counter("calls", "Calls that have ended.", "result", results)

    def _resources(self) -> Iterator[Metric]:
        server = self._server
        tcp = server.tcp
        connections = {name: tcp.per_transport[name] for name in tcp.transports}
        yield _gauge("connections", "Open connections of SIP.", "transport", connections)
        yield _histogram(
            "commit_seconds",
            "Duration of database transactions that write, with their sync to disk.",
            self._database.commit_seconds,
        )
        yield _histogram(
            "hub_lag_seconds",
            "How late the event loop was, 20 times a second.",
            server.hub_lag,
        )

    def _troubles(self) -> Iterator[Metric]:
        server = self._server
        yield _gauge("bans", "Networks that are banned now.", "", server.guard.ban_count)
        dropped = {
            "fair_share": server.guard.dropped_for_overload,
            "paused_connection": server.tcp.counts[CLOSED_OVERLOAD],
            "transaction_limit": server.layer.counts[DROPPED_TRANSACTION_LIMIT],
        }
        yield _counter(
            "overload_dropped",
            "Messages dropped, and connections closed, because of overload.",
            "reason",
            dropped,
        )
        yield _counter(
            "events_lost",
            "Events discarded because a reader, such as the webhook, was too slow.",
            "",
            self._bus.lost,
        )

    def _other_counters(self) -> Iterator[Metric]:
        """Yield the counters of the parts, by the names of sip/monitor/metrics.py."""
        server = self._server
        counts = Counter(dict.fromkeys(_KEYS, 0))
        for part in (server.layer, server.receiver, server.tcp, server.guard, self._database):
            counts.update(part.counts)
        families: dict[str, CounterMetricFamily] = {}
        # The first request of a phone has no credentials: that is no refusal.
        del counts[metrics.refusals(NO_CREDENTIALS.code)]
        for key, count in counts.items():
            match = _KEY.fullmatch(key)
            if match is None:
                raise ValueError(f"{key} is not the key of a counter")
            name, label, value = match.groups()
            if name not in families:
                families[name] = CounterMetricFamily(
                    f"{_PREFIX}{name}", _HELP[name], labels=_labels(label)
                )
            families[name].add_metric((value,) if label else (), count)
        yield from families.values()


_Values = int | float | Mapping[str, int]


def _gauge(name: str, text: str, label: str, values: _Values) -> Metric:
    return _filled(GaugeMetricFamily(f"{_PREFIX}{name}", text, labels=_labels(label)), values)


def _counter(name: str, text: str, label: str, values: _Values) -> Metric:
    return _filled(CounterMetricFamily(f"{_PREFIX}{name}", text, labels=_labels(label)), values)


def _labels(label: str | None) -> tuple[str, ...]:
    return (label,) if label else ()


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: _Values) -> Metric:
    if isinstance(values, Mapping):
        for value, number in values.items():
            family.add_metric((value,), number)
    else:
        family.add_metric((), values)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(f"{_PREFIX}{name}", text)
    bounds = (*map(str, BOUNDS), "+Inf")
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    family.add_metric((), buckets, histogram.sum)
    return family
