"""Reload of the settings while the server runs, and notifications to systemd."""

import socket

import pytest

from sip import systemd
from sip.config import SETTINGS, Config
from sip.core.trunk import parse_trunks
from sip.operator_values import parse_networks
from sip.reload import RELOADABLE, reload
from tests.support.world import World


def test_reloadable_settings_change_and_others_are_named():
    running = Config(sip_keepalive=25, sip_domains=("a.test",))
    wanted = Config(sip_keepalive=0, sip_domains=("b.test",), log_level="debug")
    outcome = reload(running, wanted)
    assert outcome.config == Config(sip_domains=("b.test",), log_level="debug")
    assert str(outcome) == ("changed sip.domains, log.level; restart needed for sip.keepalive")


def test_a_reload_without_changes_says_so():
    assert str(reload(Config(), Config())) == "changed nothing"


def test_reloadable_names_are_names_of_settings():
    assert {entry.attribute for entry in SETTINGS.values()} >= RELOADABLE


def test_reconfigure_changes_domains_trunks_and_trusted():
    world = World(settings={"sip_trunk": parse_trunks("0=sip:192.0.2.77")})
    server = world.server
    assert server.trunks.is_gateway(("192.0.2.77", 5060))
    server.reconfigure(
        Config(
            sip_realm="example.com",
            sip_domains=("more.test",),
            sip_trunk=parse_trunks("0=sip:192.0.2.78"),
            sip_calls_from_outside=False,
            sip_digest=("SHA-256",),
            guard_trusted=parse_networks("203.0.113.0/24"),
        )
    )
    assert server.guard.is_trusted("203.0.113.7")
    assert not server.trunks.is_gateway(("192.0.2.77", 5060))
    world.settle()
    assert server.trunks.is_gateway(("192.0.2.78", 5060))
    alice = world.phone("alice", registered=False)
    alice.sends("REGISTER", "sip:more.test", to="<sip:alice@more.test>", answers_challenge=False)
    (challenge,) = alice.gets(401).fields("www-authenticate")
    assert "algorithm=SHA-256" in challenge


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:5000"])
def test_without_notify_socket_nothing_is_sent(address, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    systemd.notify(systemd.READY, {"NOTIFY_SOCKET": address})
    systemd.notify(systemd.READY, {})


@pytest.mark.parametrize("is_abstract", [False, True])
def test_a_state_is_sent_as_one_datagram(tmp_path, is_abstract):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{path}" if is_abstract else path)
        ear.settimeout(5)
        systemd.notify("READY=1", {"NOTIFY_SOCKET": f"@{path}" if is_abstract else path})
        assert ear.recv(100) == b"READY=1"
