"""The metrics of a whole server, as Prometheus reads them."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sip.monitor.calls import Calls
from sip.monitor.histogram import Histogram
from sip.monitor.metrics import DATABASE_ERRORS, Counters
from sip.prometheus import Metrics
from tests.support.world import REALM, World

DEPLOY = Path(__file__).parent.parent / "deploy"
BOB = f"sip:bob@{REALM}"


@pytest.fixture
def database():
    return SimpleNamespace(counts=Counters(), commit_seconds=Histogram())


@pytest.fixture
def metrics(world: World, database) -> Metrics:
    bus = world.bus
    return Metrics(world.server, ["alice", "bob"], Calls(bus), database, bus, in_thread)


def in_thread(work):
    return work()


def read(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return the number of each sample by its name and labels, these sorted by their names."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, *(text for _, text in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_call_moves_from_ringing_to_talking_to_answered(world: World, metrics: Metrics):
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", BOB)
    at_bob = bob.gets("INVITE")
    bob.answers(at_bob, 180)
    found = read(metrics)
    assert found["sipserver_calls", "ringing"] == 1
    answer = bob.answers(at_bob, 200)
    found = read(metrics)
    assert found["sipserver_calls", "ringing"] == 0
    assert found["sipserver_calls", "talking"] == 1
    assert found["sipserver_calls_total", "answered"] == 0
    routes = tuple(f"Route: {route}" for route in reversed(answer.values("record-route")))
    bye = alice.request(
        "BYE",
        bob.contact.strip("<>"),
        to=answer.value("to"),
        call_id=invite.call_id,
        from_tag=invite.from_.tag,
        headers=routes,
    )
    alice.transmits(bye)
    bob.answers(bob.gets("BYE"), 200)
    found = read(metrics)
    assert found["sipserver_calls", "talking"] == 0
    assert found["sipserver_calls_total", "answered"] == 1
    assert found["sipserver_requests_total", "INVITE", "UDP"] == 2  # one of them challenged
    assert found["sipserver_requests_total", "BYE", "UDP"] == 1
    assert found["sipserver_responses_total", "1xx", "INVITE"] == 2  # 100 and 180
    assert found["sipserver_responses_total", "2xx", "INVITE"] == 1
    assert found["sipserver_responses_total", "4xx", "INVITE"] == 1


def test_a_retransmission_is_no_further_request(world: World, metrics: Metrics):
    alice, bob = world.phones("alice", "bob")
    invite = alice.sends("INVITE", BOB)
    bob.gets("INVITE")
    before = read(metrics)
    alice.transmits(invite)
    found = read(metrics)
    key = "sipserver_requests_total", "INVITE", "UDP"
    assert found[key] == before[key]
    assert found["sipserver_requests_retransmitted_total",] == 1


def test_unknown_methods_share_one_label(world: World, metrics: Metrics):
    """Or a stranger could fill the memory of Prometheus."""
    alice = world.phone("alice")
    for number in range(20):
        alice.sends(f"METHOD{number}", BOB, answers_challenge=False)
        alice.sends("invite", BOB, answers_challenge=False)
    found = read(metrics)
    assert found["sipserver_requests_total", "other", "UDP"] == 40
    assert found["sipserver_responses_total", "4xx", "other"] == 40
    methods = {key[1] for key in found if key[0] == "sipserver_requests_total"}
    assert methods == {"REGISTER", "other"}


def test_registrations_count_contacts_not_users(world: World, metrics: Metrics):
    alice = world.phone("alice")
    alice.registers("<sip:alice@192.0.2.50>", "<sip:alice@192.0.2.51>")
    world.phone("bob", transport="TCP")
    assert read(metrics)["sipserver_registrations",] == 4
    alice.registers("*", expires=0)
    assert read(metrics)["sipserver_registrations",] == 1
    world.passes(3601, step=10)
    found = read(metrics)
    assert found["sipserver_registrations",] == 0
    assert found["sipserver_users",] == 2


def test_a_refused_call_counts_by_cause_and_status(world: World, metrics: Metrics):
    world.phone("alice").sends("INVITE", f"sip:nobody@{REALM}")
    found = read(metrics)
    assert sum(value for key, value in found.items() if key[0] == "sipserver_refusals_total") == 1
    assert found["sipserver_refusals_total", "unknown_callee"] == 1
    assert found["sipserver_calls_total", "failed"] == 1


def test_database_times_and_errors_are_shown(metrics: Metrics, database):
    database.counts[DATABASE_ERRORS] += 3
    for seconds in (0.0005, 0.02, 99.0):
        database.commit_seconds.observe(seconds)
    found = read(metrics)
    assert found["sipserver_database_errors_total",] == 3
    name = "sipserver_commit_seconds_bucket"
    assert [found[name, le] for le in ("0.001", "0.01", "0.025", "10.0", "+Inf")] == [1, 1, 2, 2, 3]
    assert found["sipserver_commit_seconds_count",] == 3


def test_a_late_tick_is_a_lag_of_the_event_loop(world: World, metrics: Metrics):
    world.server.tick()
    world.now += 0.35
    world.server.tick()
    found = read(metrics)
    name = "sipserver_hub_lag_seconds_bucket"
    assert [found[name, le] for le in ("0.25", "0.5")] == [1, 2]


def test_lost_events_count_for_all_readers(world: World, metrics: Metrics):
    first, second = (world.bus.read(str, limit=limit) for limit in (2, 3))
    for _ in range(5):
        world.bus.publish("event")
    assert (first.lost, second.lost) == (3, 2)
    assert read(metrics)["sipserver_events_lost_total",] == 5


def test_messages_of_an_overload_of_now_are_counted(world: World, metrics: Metrics):
    world.server.guard._fair_share.is_overloaded = True
    world.server.guard._fair_share.refused = 7
    assert read(metrics)["sipserver_overload_dropped_total", "fair_share"] == 7


def test_the_process_is_shown(metrics: Metrics):
    found = read(metrics)
    assert found["process_resident_memory_bytes",] > 1_000_000
    assert found["process_cpu_seconds_total",] > 0


# The files in deploy/

NAME = re.compile(r"\b(?:sipserver|process)_\w+")


@pytest.fixture
def names(world: World, metrics: Metrics) -> set[str]:
    """The names of all samples of a server that was used."""
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:nobody@{REALM}")
    return {key[0] for key in read(metrics)}


def expressions_of_the_dashboard() -> list[str]:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return panels + [each["definition"] for each in board["templating"]["list"]]


def expressions_of_the_alerts() -> list[str]:
    text = (DEPLOY / "prometheus-alerts.yml").read_text()
    return re.findall(r"expr: (?:>-\n)?(.*?)\n +(?:for|labels):", text, re.DOTALL)


@pytest.mark.parametrize("read_all", [expressions_of_the_dashboard, expressions_of_the_alerts])
def test_each_metric_in_a_deploy_file_exists(read_all, names: set[str]):
    expressions = read_all()
    assert len(expressions) >= 10
    used = {name for expression in expressions for name in NAME.findall(expression)}
    assert len(used) >= 8
    assert used - names == set()


def test_each_alert_has_an_expression_and_a_text():
    text = (DEPLOY / "prometheus-alerts.yml").read_text()
    alerts = text.split("- alert: ")[1:]
    assert len(alerts) == len(expressions_of_the_alerts())
    for alert in alerts:
        assert re.search(r"severity: (critical|warning|info)", alert)
        assert "summary: " in alert
        assert "description: " in alert


def test_the_dashboard_can_be_imported():
    """Grafana asks for the data source, and each panel has a number and a place of its own."""
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    assert board["schemaVersion"] >= 36
    assert board["id"] is None
    (asked,) = board["__inputs"]
    used = {"${" + asked["name"] + "}"}
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == used
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
