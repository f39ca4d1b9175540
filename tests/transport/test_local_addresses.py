"""Which hosts are this machine, also when no socket can be had to ask by."""

import errno
import socket

import pytest

from sip.monitor.events import Bus
from sip.transport.local_addresses import LocalAddresses
from sip.transport.transports import Transports
from tests.support.fake_transport import MemorySocket
from tests.support.world import World


class NoSockets:
    """A process without a descriptor left."""

    def __init__(self, *arguments) -> None:
        raise OSError(errno.EMFILE, "Too many open files")


@pytest.fixture
def is_own() -> LocalAddresses:
    return LocalAddresses(Transports(lambda: 0.0, Bus()))


def test_the_last_result_is_used_without_descriptors(is_own, monkeypatch):
    """However often it is asked anew."""
    assert [is_own(host) for host in ("127.0.0.1", "192.0.2.200")] == [True, False]
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", NoSockets)
        for _ in range(3):
            is_own.clear_cache()
            assert [is_own(host) for host in ("127.0.0.1", "192.0.2.200")] == [True, False]
        assert not is_own("127.0.0.2")  # not asked before
    is_own.clear_cache()
    assert is_own("127.0.0.2")


def test_the_last_results_are_limited(is_own):
    for number in range(3 * is_own.MAX_CACHED_HOSTS):
        is_own(f"192.0.2.{number % 250}.{number}")
        if number % 100 == 0:
            is_own.clear_cache()
    assert len(is_own._known_before) <= 2 * is_own.MAX_CACHED_HOSTS


def test_a_local_address_is_cached_while_descriptors_are_short(monkeypatch):
    now = [0.0]
    transports = Transports(lambda: now[0], Bus())
    peer = ("127.0.0.9", 5060)
    ours = transports._local_host_towards(peer, is_ipv6=False)
    now[0] += 61.0
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", NoSockets)
        assert transports._local_host_towards(peer, is_ipv6=False) == ours
        with pytest.raises(OSError, match="Too many"):
            transports._local_host_towards(("127.0.0.10", 5060), is_ipv6=False)


def test_which_addresses_are_this_machine():
    """Its own and its names; not those that any machine may bind to, nor other text."""
    transports = Transports(lambda: 0.0, Bus(), ("Sip.Example.NET", None))
    transports.add(MemorySocket(World(), ("192.0.2.1", 5060)))
    wildcard = MemorySocket(World(), ("0.0.0.0", 5060))
    wildcard.is_wildcard = True
    transports.add(wildcard)
    is_own = LocalAddresses(transports)
    for host in ("192.0.2.1", "127.0.0.1", "localhost", "sip.example.net"):
        assert is_own(host), host
    for host in ("0.0.0.0", "::", "224.0.1.75", "255.255.255.255", "999.1.2.3", "203.0.113.9", "x"):
        assert not is_own(host), host
