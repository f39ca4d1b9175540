"""The hosts file: names that need no DNS."""

import os
from ipaddress import ip_address
from pathlib import Path

# Lines that are read of a hosts file; some files block advertisements with tens of thousands.
MAX_LINES = 100_000


class HostsFile:
    """The hosts file, read again when it has changed."""

    def __init__(self, path: Path = Path("/etc/hosts")) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._names: dict[str, list[str]] = {}

    def addresses(self, name: str) -> list[str]:
        """Return the addresses of a name in lower case; none if the file doesn't have it."""
        try:
            status = os.stat(self._path)
            stamp = status.st_mtime_ns, status.st_size
            if stamp != self._stamp:
                self._names = _read(self._path.read_text("utf-8", "replace"))
                self._stamp = stamp
        except OSError:
            self._names, self._stamp = {}, None
        return self._names.get(name, []) or _loopback(name)


def _loopback(name: str) -> list[str]:
    """Return the loopback addresses for localhost and names below it (RFC 6761 §6.3)."""
    return ["127.0.0.1", "::1"] if name == "localhost" or name.endswith(".localhost") else []


def _read(text: str) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        address, *own_names = line.partition("#")[0].split() or [""]
        try:
            usual = str(ip_address(address))
        except ValueError:
            continue  # an empty line, or one that only the system understands
        for name in own_names:
            known = names.setdefault(name.lower(), [])
            if usual not in known:
                known.append(usual)
    return names
