"""Listening: why an address cannot be had, and which ones are."""

import errno

from sip.addresses import Address
from sip.listening import (
    ListeningAddress,
    by_address,
    lacks_ipv6,
    listen_error,
    transports_of,
)
from tests.support.cases import cases

ALL = [
    ListeningAddress("UDP", "0.0.0.0", 5060),
    ListeningAddress("UDP", "::", 5060),
    ListeningAddress("TCP", "0.0.0.0", 5060),
    ListeningAddress("TCP", "::", 5060),
    ListeningAddress("TLS", "::", 5061),
]


@cases(
    ("number", "host", "port", "sentence"),
    [
        (
            errno.EADDRNOTAVAIL, "10.1.2.3", 5060,
            "cannot listen on UDP 10.1.2.3:5060: this machine has no such address."
            " Choose one that `ip address` shows, or listen on all of them with -sip.addr :5060",
        ),
        (
            errno.EADDRINUSE, "0.0.0.0", 5060,
            "cannot listen on UDP 0.0.0.0:5060: Address already in use."
            " Stop the other server, or choose another address with -sip.addr :5070",
        ),
        (
            errno.EADDRINUSE, "::1", 65530,
            "cannot listen on UDP [::1]:65530: Address already in use."
            " Stop the other server, or choose another address with -sip.addr [::1]:65520",
        ),
        (
            errno.EACCES, "127.0.0.1", 1023,
            "cannot listen on UDP 127.0.0.1:1023: Permission denied."
            " Choose another address with -sip.addr, with a port from 1024 on;"
            " lower ports are for root and for programs with CAP_NET_BIND_SERVICE",
        ),
        (
            errno.EACCES, "127.0.0.1", 1024,
            "cannot listen on UDP 127.0.0.1:1024: Permission denied."
            " Choose another address with -sip.addr",
        ),
        (
            errno.EAFNOSUPPORT, "::1", 5060,
            "cannot listen on UDP [::1]:5060: this machine has no IPv6."
            " Choose another address with -sip.addr",
        ),
        (
            errno.EMFILE, "127.0.0.1", 5060,
            "cannot listen on UDP 127.0.0.1:5060: Too many open files."
            " Choose another address with -sip.addr",
        ),
    ],
)  # fmt: skip
def test_why_an_address_cannot_be_had(number, host, port, sentence):
    error = OSError(number, "what the system says")
    assert listen_error(error, "UDP", host, port, "-sip.addr") == sentence


def test_a_machine_without_ipv6_listens_on_ipv4_alone():
    """The kernel lacks the family, or a sysctl turns it off; an address that was named is told."""
    for number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
        assert lacks_ipv6(OSError(number, ""), Address(None, 5060), "::")
        assert not lacks_ipv6(OSError(number, ""), Address("::", 5060), "::")
        assert not lacks_ipv6(OSError(number, ""), Address(None, 5060), "0.0.0.0")
    assert not lacks_ipv6(OSError(errno.EADDRINUSE, ""), Address(None, 5060), "::")


def test_each_address_is_named_with_its_transports():
    assert by_address(ALL) == {
        "0.0.0.0:5060": ["UDP", "TCP"],
        "[::]:5060": ["UDP", "TCP"],
        "[::]:5061": ["TLS"],
    }
    assert transports_of(ALL) == ["UDP", "TCP", "TLS"]
