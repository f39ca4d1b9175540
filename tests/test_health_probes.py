"""The probes of the health checks, on a real server with one broken piece each."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import gevent
import pytest
from gevent import socket as green

from sip import health_probes
from sip.addresses import Address, Advertised
from sip.config import Config
from sip.health_probes import Health, Probe, Probes, clock_is_synchronized, round_trip
from sip.listening import ListeningAddress
from sip.monitor.events import Bus
from sip.monitor.health import Check, Status
from sip.operator_values import PortRange
from sip.server import SipServer
from sip.store.bindings import BindingRow, BindingStore, NotSaved
from sip.store.database import Database
from sip.store.users import Users
from sip.transport.dns.client import NoAnswer
from tests.support.fake_dns import FakeDns

REALM = "example.com"
HERE = "127.0.0.1"


class Running:
    """A server on loopback with a database, and its probes."""

    def __init__(self, path: str) -> None:
        self.zone = FakeDns()
        self.database = Database(path)
        self.store = BindingStore(self.database)
        self.unix_now = 1_700_000_000.0
        bus = Bus()
        self.server = SipServer(
            Config(sip_realm=REALM, sip_addr=Address(HERE, 0), web_addr=Address(HERE, 8080)),
            Users(self.database, REALM, bus=bus),
            self.store,
            b"a secret of 16 octets or more",
            bus,
            unix_clock=lambda: self.unix_now + time.monotonic(),
            ask=self.zone,
            hosts=lambda name: (),
        )
        self.server.start()
        self.server.load()
        self.users = 3
        self.control_failure = ""
        self.probes = Probes(
            self.server,
            self.database,
            lambda: self.users,
            self.server.resolver,
            lambda: self.control_failure,
        )

    def sets(self, **settings) -> None:
        """Change settings of the running server."""
        self.server.config = replace(self.server.config, **settings)

    def check(self, name: str) -> Check:
        """Measure all, and return the check of that name."""
        checks = Health(self.probes.all).checks()
        (found,) = (each for each in checks if each.name == name)
        return found

    def close(self) -> None:
        self.server.stop()
        self.store.close()
        self.database.close()


@pytest.fixture
def running(tmp_path) -> Iterator[Running]:
    with closing(Running(str(tmp_path / "sip.db"))) as running:
        yield running


def test_a_server_without_a_fault_is_ok(running, monkeypatch):
    monkeypatch.setattr(health_probes, "clock_is_synchronized", lambda: True)
    running.zone.records[REALM, "A"] = [HERE]
    checks = Health(running.probes.all).checks()
    assert [check for check in checks if check.status != Status.OK] == []
    assert [check.name for check in checks] == [
        *("SIP over UDP", "SIP over TCP", "RTP ports", "Control socket", "Database", "Disk space"),
        *("Commit times", "Event loop", "Clock", "Receive buffers", "Open files"),
        *("Web encryption", "SIP encryption", "DNS of the domain", "Advertised address", "NAT"),
    ]


# Transports


def test_a_silent_transport_is_failing(running, monkeypatch):
    """A real datagram to a server that has stopped to read, and a connection that is refused."""
    monkeypatch.setattr(health_probes, "ANSWER_TIMEOUT", 0.2)
    for sock in running.server.transports.sockets:
        sock.stop()
    running.server.tcp.stop_listening()
    udp = ListeningAddress("UDP", HERE, running.server.transports.sockets[0].local[1])
    assert round_trip(udp).failure
    with closing(socket.create_server((HERE, 0))) as listener:
        tcp = ListeningAddress("TCP", HERE, listener.getsockname()[1])
        assert round_trip(tcp).failure == "none came within 0.2 s"
    assert round_trip(tcp).failure == "Connection refused"


def test_a_server_that_refuses_all_is_failing():
    """As it does while it is overloaded, or stops."""
    with closing(green.socket()) as listener:
        listener.bind((HERE, 0))
        listener.listen()

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(65_535).startswith(b"OPTIONS sip:")
                connection.sendall(b"SIP/2.0 503 Service Unavailable\r\n\r\n")

        gevent.spawn(refuse)
        trip = round_trip(ListeningAddress("TCP", *listener.getsockname()))
    assert trip.failure == "the answer was '503 Service Unavailable'"


def test_a_wildcard_is_asked_on_the_loopback(running):
    (address, *_) = running.server.listening()
    assert not round_trip(ListeningAddress("UDP", "0.0.0.0", address.port)).failure


def test_ports_of_the_robot_that_are_taken_are_a_warning(running):
    """Another program has one of the two ports; nothing stays open afterwards."""
    running.server.robot.studio.set_ports(PortRange(9710, 9711))
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as other:
        other.bind((HERE, 9711))
        check = running.check("RTP ports")
        assert check.status == Status.WARNING
        assert "all ports of -rtp.ports 9710-9711 are in use" in check.detail
    running.server.robot.studio.close(running.server.robot.studio.open(HERE, frozenset()))
    assert running.check("RTP ports").status == Status.OK
    running.sets(robot=False)
    assert "The robot is off" in running.check("RTP ports").detail


def test_a_missing_control_socket_is_a_warning(running):
    running.control_failure = "another server listens"
    check = running.check("Control socket")
    assert (check.status, "another server listens" in check.detail) == (Status.WARNING, True)


# Database and disk


def test_a_full_disk_is_failing(running, monkeypatch):
    full = SimpleNamespace(f_bavail=10, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    check = running.check("Disk space")
    assert check.status == Status.FAILING
    assert "41 kB are free" in check.detail


def test_a_failed_write_is_shown_until_one_works(running):
    row = BindingRow(1, f"alice@{REALM}", "sip:alice@192.0.2.1", 2**40)
    running.database.run(lambda tables: tables.query("ALTER TABLE bindings RENAME TO moved"))
    with pytest.raises(NotSaved):
        running.store.save([row], [], lambda: None).wait()
    check = running.check("Database")
    assert check.status == Status.FAILING
    assert "no such table: bindings" in check.detail
    running.database.run(lambda tables: tables.query("ALTER TABLE moved RENAME TO bindings"))
    running.store.save([row], [], lambda: None).wait()
    assert running.check("Database").status == Status.OK
    assert "The last 1 commits took" in running.check("Commit times").detail


def test_a_locked_database_is_late_and_the_others_are_not(running, monkeypatch, tmp_path):
    """The reader of the checks waits for no other program."""
    monkeypatch.setattr(health_probes, "MAX_WAIT", 0.3)
    with closing(Database(running.database.path)) as other:
        locked = gevent.spawn(other.run, lambda tables: time.sleep(0.8))
        gevent.sleep(0.1)
        checks = {check.name: check for check in Health(running.probes.all).checks()}
        assert checks["Database"].status == Status.WARNING
        assert "no result within" in checks["Database"].detail
        assert checks["SIP over UDP"].status == Status.OK
        locked.get()


def test_slow_commits_are_a_warning(running):
    running.store.commit_seconds.extend([0.5] * 9)
    assert running.check("Commit times").status == Status.WARNING


# The machine


def test_a_late_event_loop_is_a_warning(running):
    running.server.lags.append(1.0)
    assert running.check("Event loop").status == Status.WARNING
    assert "late by 1.0 s" in running.check("Event loop").detail


def test_a_step_of_the_clock_is_named(running, monkeypatch):
    monkeypatch.setattr(health_probes, "clock_is_synchronized", lambda: None)
    assert running.check("Clock").status == Status.OK
    running.unix_now += 3600
    check = running.check("Clock")
    assert check.status == Status.WARNING
    assert "set by +3600 s" in check.detail


def test_the_kernel_says_if_a_time_service_runs():
    assert clock_is_synchronized() in (True, False, None)


def test_small_buffers_are_a_warning_with_many_users(running):
    running.server.granted_buffers = [212_992]
    assert running.check("Receive buffers").status == Status.OK
    running.users = 5000
    assert running.check("Receive buffers").status == Status.WARNING


def test_few_free_descriptors_are_a_warning(running, monkeypatch):
    used = len(os.listdir("/proc/self/fd"))
    limit = lambda which: (used + 3, used + 3)  # noqa: E731
    monkeypatch.setattr(health_probes.resource, "getrlimit", limit)
    assert running.check("Open files").status != Status.OK


# Names


def test_a_domain_that_leads_elsewhere_is_a_warning(running):
    running.zone.records[REALM, "A"] = ["192.0.2.99"]
    check = running.check("DNS of the domain")
    assert check.status == Status.WARNING
    assert "leads to 192.0.2.99, which is no address of this server" in check.detail


def test_a_domain_that_leads_to_the_router_is_ok_if_advertised(running):
    running.zone.records[REALM, "A"] = ["192.0.2.99"]
    running.sets(sip_advertise=Advertised("192.0.2.99", None))
    assert running.check("DNS of the domain").status == Status.OK


def test_the_servers_of_srv_records_are_looked_at(running):
    """RFC 3263 §4.2: phones and other servers find this server by them."""
    running.zone.records[f"_sip._udp.{REALM}", "SRV"] = [(0, 0, 5060, "pbx.example.net")]
    running.zone.records["pbx.example.net", "A"] = [HERE]
    assert f"{REALM} leads to this server" in running.check("DNS of the domain").detail


def test_a_domain_without_an_answer_is_a_warning(running):
    running.zone.fails = NoAnswer("no name server answers")
    check = running.check("DNS of the domain")
    assert check.status == Status.WARNING
    assert "no name server answers" in check.detail


def test_a_slow_name_server_does_not_hold_up_the_page(running, monkeypatch):
    monkeypatch.setattr(health_probes, "MAX_WAIT", 0.2)
    running.zone.waits()
    health = Health(running.probes.all)
    for _ in range(3):
        checks = {check.name: check for check in health.checks()}
        assert "no result" in checks["DNS of the domain"].detail
        assert checks["Database"].status == Status.OK
    asked = len(running.zone.asked)
    assert len(set(running.zone.asked)) == asked, "one run at a time"
    running.zone.answers()


def test_an_advertised_name_without_an_address_is_failing(running):
    running.sets(sip_advertise=Advertised("sip.example.net", None))
    assert running.check("Advertised address").status == Status.FAILING
    running.zone.records["sip.example.net", "A"] = ["192.0.2.99"]


# The pages' certificate, and NAT


def test_pages_without_encryption_are_a_warning(running):
    running.sets(web_addr=Address(None, 8080))
    assert running.check("Web encryption").status == Status.WARNING


def test_an_unreadable_certificate_is_failing(running, tmp_path):
    running.sets(web_cert=str(tmp_path / "none.pem"), web_key="key.pem")
    check = running.check("Web encryption")
    assert check.status == Status.FAILING
    assert "none.pem: No such file" in check.detail


def test_phones_behind_nat_need_keepalives(running, monkeypatch):
    monkeypatch.setattr(type(running.server.keepalive), "__len__", lambda self: 7)
    running.server.keepalive.connections = 2
    check = running.check("NAT")
    assert (check.status, check.detail[:44]) == (
        Status.OK,
        "9 phones are behind NAT: 7 over UDP, 2 over ",
    )
    running.sets(sip_keepalive=0)
    assert running.check("NAT").status == Status.WARNING


# The reader of the checks


def test_a_result_is_kept_for_some_seconds(monkeypatch):
    measured = []

    def measure() -> Check:
        measured.append(1)
        return Check("one", Status.OK, "")

    health = Health(lambda: [Probe("one", measure)])
    assert not health.known(), "the first result is not there yet"
    assert len(health.checks()) == len(health.known()) == len(health.checks()) == 1
    assert len(measured) == 1
    monkeypatch.setattr(health._made[0], "seconds", 0.0)
    health.checks()
    assert len(measured) == 2


def test_a_fault_in_a_check_is_its_result(caplog):
    def fail() -> Check:
        raise RuntimeError("a fault of ours")

    (check,) = Health(lambda: [Probe("one", fail)]).checks()
    assert (check.name, check.status) == ("one", Status.FAILING)
    assert "unhandled error in the health check one" in caplog.text
