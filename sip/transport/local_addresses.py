"""Local addresses: a test for hosts that mean this machine."""

import errno
import socket
from ipaddress import ip_address

from sip.message.uri import is_address
from sip.transport.transports import Transports

_BROADCAST = ip_address("255.255.255.255")
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class LocalAddresses:
    """A test for hosts that are this machine: its names and the addresses of its interfaces.

    An address is local if a socket can bind to it.  Results are cached until `clear_cache`, since
    addresses come and go.
    """

    MAX_CACHED_HOSTS = 1024

    def __init__(self, transports: Transports) -> None:
        self._names = {"localhost", socket.gethostname().lower()}
        if transports.advertised:
            self._names.add(transports.advertised[0].lower())
        self._transports = transports
        self._known: dict[str, bool] = {}
        self._known_before: dict[str, bool] = {}

    def __call__(self, host: str) -> bool:
        """Return True if `host` is this machine; IPv6 without brackets."""
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= self.MAX_CACHED_HOSTS:
                self._known.clear()
            known = self._known[host] = self._is_own(host)
        return known

    def clear_cache(self) -> None:
        """Test every host again from now on."""
        if len(self._known_before) >= self.MAX_CACHED_HOSTS:
            self._known_before.clear()
        self._known_before.update(self._known)
        self._known.clear()

    def _is_own(self, host: str) -> bool:
        if host.removesuffix(".") in self._names:
            return True
        if not is_address(host):
            return False
        sockets = self._transports.sockets
        is_listened_on = any(sock.local[0] == host and not sock.is_wildcard for sock in sockets)
        try:
            return is_listened_on or _can_bind(host)
        except OSError as error:
            if error.errno in _NO_DESCRIPTORS:  # no test is possible now: use the last result
                return self._known_before.get(host, False)
            return False


def _can_bind(host: str) -> bool:
    """Return True if a socket can bind to `host`.  Raises OSError if not, or if unknown."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_multicast or address.is_unspecified or address == _BROADCAST:
        return False  # sockets can bind to them, but no host owns them
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
    return True
