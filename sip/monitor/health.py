"""Health checks: what a measurement means, in words, and its cure.

Each function judges one measurement and waits for nothing; sip/health_probes.py measures.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

_MIB = 1024 * 1024
_DAY = 86_400.0

# Octets of free disk; a database grows by some megabytes a day at most.
DISK_WARNING = 500 * _MIB
DISK_FAILING = 50 * _MIB
# Seconds of a commit.  A 200 to a REGISTER waits for it, and phones repeat a request after 0.5 s
# (RFC 3261 §17.1.2.2, timer E).
COMMIT_WARNING = 0.25
COMMIT_FAILING = 2.0
# Seconds that the event loop was late.
LAG_WARNING = 0.25
LAG_FAILING = 2.0
# Days until a certificate expires.
CERTIFICATE_WARNING_DAYS = 21
# The part of the descriptors of the process that may be open.
FILES_WARNING = 0.8
FILES_FAILING = 0.95
# With a smaller buffer, messages are lost when this many phones register at once.
WANTED_BUFFER_BYTES = _MIB
MANY_USERS = 1000
# A smaller step of the clock changes nothing here, in seconds.
CLOCK_STEP = 2.0
# The name of a check: the overview words it by the connection of the browser.
WEB_ENCRYPTION = "Web encryption"
SIP_ENCRYPTION = "SIP encryption"


class Status:
    """The statuses of a check, the words of pages and commands, the best first."""

    OK: Final = "ok"
    WARNING: Final = "warning"
    FAILING: Final = "failing"


_ORDER = (Status.OK, Status.WARNING, Status.FAILING)


class Check(NamedTuple):
    """The result of one check; `detail` is one sentence or more, `cure` too, "" if all is well."""

    name: str
    status: str
    detail: str
    cure: str = ""


def worst(checks: Iterable[Check]) -> str:
    """Return the worst status of some checks; "ok" without any."""
    return max((check.status for check in checks), key=_ORDER.index, default=Status.OK)


def exit_code(status: str) -> int:
    """Return the exit code of a command for a status: 0 ok, 1 warning, 2 failing."""
    return _ORDER.index(status) if status in _ORDER else len(_ORDER) - 1


def _graded(value: float, warning: float, failing: float) -> str:
    """Return the status of a value that is bad if it is large."""
    if value >= failing:
        return Status.FAILING
    return Status.WARNING if value >= warning else Status.OK


def size(octets: float) -> str:
    """Return a number of octets in words: `4.2 MB`."""
    units = ["B", "kB", "MB", "GB"]
    while octets >= 1000 and len(units) > 1:
        octets /= 1000
        del units[0]
    return f"{octets:.0f} {units[0]}" if octets >= 100 else f"{octets:.3g} {units[0]}"


def milliseconds(seconds: float) -> str:
    """Return a short time in words: `0.6 ms`, `12 ms`, `1.5 s`."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


class RoundTrip(NamedTuple):
    """An OPTIONS that this server sent to itself: its seconds, or the reason why it failed."""

    address: str
    seconds: float
    failure: str = ""


def check_transport(transport: str, trips: Sequence[RoundTrip]) -> Check:
    """Judge the answers of the listening addresses of one transport to an OPTIONS."""
    name = f"SIP over {transport}"
    failed = [trip for trip in trips if trip.failure]
    if failed:
        return Check(
            name,
            Status.FAILING,
            " ".join(f"No answer to OPTIONS at {trip.address}: {trip.failure}." for trip in failed),
            "Look at the CPU of this machine and at the log for “overload”. If a firewall of this"
            " machine filters its own addresses, allow them. Else restart the server.",
        )
    answers = [f"{trip.address} in {milliseconds(trip.seconds)}" for trip in trips]
    return Check(name, Status.OK, f"Answers OPTIONS at {', '.join(answers)}.")


def check_buffers(granted: Sequence[int], users: int) -> Check:
    """Judge the receive buffers of the UDP sockets, in octets, as granted by the kernel."""
    name, smallest = "Receive buffers", min(granted, default=0)
    if not granted:
        return Check(name, Status.OK, "There is no UDP socket.")
    detail = f"The kernel granted {size(smallest)} to each UDP socket."
    if smallest >= WANTED_BUFFER_BYTES or users <= MANY_USERS:
        return Check(name, Status.OK, detail)
    return Check(
        name,
        Status.WARNING,
        f"{detail} Messages are lost when many phones register at once.",
        "As root: sysctl -w net.core.rmem_max=8388608, then restart the server.",
    )


def check_clock(step: float, is_synchronized: bool | None) -> Check:
    """Judge the clock: its steps since the start in seconds, and the state that the kernel reports.

    `is_synchronized` is None if the kernel does not say.
    """
    detail = "The clock has made no step since the start."
    if abs(step) >= CLOCK_STEP:
        detail = f"The clock was set by {step:+.0f} s since the start."
    if is_synchronized:
        return Check("Clock", Status.OK, f"A time service keeps the clock right. {detail}")
    if is_synchronized is None and abs(step) < CLOCK_STEP:
        return Check("Clock", Status.OK, detail)
    return Check(
        "Clock",
        Status.WARNING,
        f"No time service keeps the clock right. {detail}",
        "Start a time service on this machine, for example chrony or systemd-timesyncd. Times in"
        " the log and on the pages, and certificates, depend on the clock.",
    )


def check_disk(free: int, path: str) -> Check:
    """Judge the free space, in octets, of the disk that has the database."""
    status = Status.OK if free >= DISK_WARNING else Status.WARNING
    if free < DISK_FAILING:
        status = Status.FAILING
    cure = f"Delete files on the disk of {path}, or move the database to a larger disk."
    detail = f"{size(free)} are free beside the database."
    return Check("Disk space", status, detail, "" if status == Status.OK else cure)


def check_database(octets: int, failure: str) -> Check:
    """Judge the database: its size, and why the last write failed, "" if it did not."""
    if failure:
        return Check(
            "Database",
            Status.FAILING,
            f"The last write to the database failed: {failure}. Registrations are refused with 500"
            " until a write works.",
            "Make room on the disk, and check that the server's user may write the file and its"
            " directory. The server tries again by itself.",
        )
    return Check("Database", Status.OK, f"The database is writable, and has {size(octets)}.")


def check_commits(seconds: Sequence[float]) -> Check:
    """Judge the seconds that the latest commits took; a 200 to a REGISTER waits for one."""
    if not seconds:
        return Check("Commit times", Status.OK, "There was no commit yet.")
    usual, longest = median(seconds), max(seconds)
    status = Status.WARNING if longest >= COMMIT_FAILING else Status.OK
    status = max(status, _graded(usual, COMMIT_WARNING, COMMIT_FAILING), key=_ORDER.index)
    cure = (
        "Move the database to a faster disk (SSD), and look for programs that write much to this"
        " one, or that lock the database."
    )
    detail = (
        f"The last {len(seconds)} commits took {milliseconds(usual)} each,"
        f" the longest one {milliseconds(longest)}."
    )
    return Check("Commit times", status, detail, "" if status == Status.OK else cure)


def check_certificate(days: float | None, failure: str, *, is_exposed: bool) -> Check:
    """Judge the certificate of the pages: the days until it expires, or why it has none.

    `days` is None without a certificate; `failure` says why it cannot be read, "" if it can.
    """
    name = WEB_ENCRYPTION
    how_to = "Set -web.cert and -web.key, or put a proxy with TLS in front of this server."
    if failure:
        return Check(name, Status.FAILING, f"The certificate cannot be read: {failure}.", how_to)
    if days is None:
        if not is_exposed:
            detail = "The pages are served on this machine only, so they need no certificate."
            return Check(name, Status.OK, detail)
        detail = "The pages are not encrypted: others on the network can read passwords in them."
        return Check(name, Status.WARNING, detail, how_to)
    return _check_expiry(name, days, "browsers")


def check_sip_certificate(days: float | None, failure: str) -> Check:
    """Judge the certificate of SIP over TLS, as `check_certificate` does."""
    name = SIP_ENCRYPTION
    if failure:
        how_to = "Correct -tls.cert and -tls.key, or -web.cert and -web.key if these are not set."
        return Check(name, Status.FAILING, f"The certificate cannot be read: {failure}.", how_to)
    if days is None:
        detail = "SIP is not encrypted: there is no certificate, so phones cannot use TLS."
        return Check(name, Status.OK, detail)
    return _check_expiry(name, days, "phones")


def _check_expiry(name: str, days: float, clients: str) -> Check:
    renew = "Renew the certificate, then send the server SIGHUP."
    if days < 0:
        detail = f"The certificate expired {-days:.0f} days ago: {clients} refuse it."
        return Check(name, Status.FAILING, detail, renew)
    status = Status.WARNING if days < CERTIFICATE_WARNING_DAYS else Status.OK
    detail = f"The certificate is valid for {days:.0f} more days."
    return Check(name, status, detail, "" if status == Status.OK else renew)


def check_domain(domain: str, found: Mapping[str, bool], failure: str) -> Check:
    """Judge where the DNS leads to for the main domain.

    `found` has the addresses, each with True if it is one of this server; `failure` says why there
    are none.
    """
    name = "DNS of the domain"
    if "." not in domain:
        detail = f"{domain} is no DNS name: phones need the address of this server as registrar."
        return Check(name, Status.OK, detail)
    if failure:
        return Check(
            name,
            Status.WARNING,
            f"{domain} leads to no address: {failure}.",
            f"Add an A record for {domain} that names this server, or enter the address of this"
            " server as outbound proxy in each phone.",
        )
    others = [address for address, is_own in found.items() if not is_own]
    if others:
        return Check(
            name,
            Status.WARNING,
            f"{domain} leads to {', '.join(others)}, which is no address of this server.",
            "Correct the DNS records. If a router forwards that address to this server, set"
            " -sip.advertise to it.",
        )
    return Check(name, Status.OK, f"{domain} leads to this server, at {', '.join(found)}.")


def check_advertised(host: str, addresses: Sequence[str], failure: str, *, is_own: bool) -> Check:
    """Judge -sip.advertise: its host, where it leads to, and if that is this machine."""
    name = "Advertised address"
    if not host:
        detail = "Each phone is told the address of this machine that it uses."
        return Check(name, Status.OK, detail)
    if failure:
        return Check(
            name,
            Status.FAILING,
            f"{host} leads to no address: {failure}. Requests within calls do not arrive.",
            "Correct -sip.advertise, or the DNS records of that name.",
        )
    detail = f"Phones are told {host}."
    if addresses and addresses != [host]:
        detail = f"Phones are told {host}, which leads to {', '.join(addresses)}."
    if not is_own:
        detail += " That is no address of this machine, so a router has to forward it to here."
    return Check(name, Status.OK, detail)


def check_nat(flows: int, connections: int, users: int, keepalive: int) -> Check:
    """Judge the phones behind NAT: those over UDP, those by a connection, and the keep-alives.

    `keepalive` is the seconds between keep-alives over UDP; a connection needs none.
    """
    if not flows and not connections:
        return Check("NAT", Status.OK, "No phone behind NAT is registered.")
    phones = "1 phone is" if flows + connections == 1 else f"{flows + connections:,} phones are"
    detail = (
        f"{phones} behind NAT: {flows:,} over UDP, {connections:,} over TCP."
        f" {users:,} {'user has' if users == 1 else 'users have'} a phone online."
    )
    if not flows:
        return Check("NAT", Status.OK, detail)
    if keepalive:
        detail += f" A keep-alive is sent over UDP every {keepalive} s."
        return Check("NAT", Status.OK, detail)
    return Check(
        "NAT",
        Status.WARNING,
        f"{detail} No keep-alive is sent: their routers may close the path, and then calls to these"
        " phones fail.",
        "Set -sip.keepalive 25.",
    )


def check_rtp_ports(ports: str, failure: str, *, is_on: bool) -> Check:
    """Judge the UDP ports of the robot; `failure` says why no pair of them opens."""
    name = "RTP ports"
    if not is_on:
        return Check(name, Status.OK, "The robot is off, so it needs no ports.")
    if failure:
        return Check(
            name,
            Status.WARNING,
            f"The robot cannot answer calls: {failure}.",
            "Set -rtp.ports to a larger range, or to one that no other program uses.",
        )
    return Check(name, Status.OK, f"The robot has a free pair of the UDP ports {ports}.")


def check_control_socket(failure: str) -> Check:
    """Judge the socket of the commands; `failure` says why they do not reach this server."""
    name = "Control socket"
    if failure:
        return Check(
            name,
            Status.WARNING,
            f"The commands calls, trace, trouble, health and forgive do not reach this server:"
            f" {failure}.",
            "Stop other servers with this database, check that the server's user may write the"
            " directory of the database, then restart the server.",
        )
    return Check(name, Status.OK, "The commands of the operator reach this server.")


def check_files(used: int, limit: int) -> Check:
    """Judge the open descriptors of the process and their limit; each connection takes one."""
    status = _graded(used / max(limit, 1), FILES_WARNING, FILES_FAILING)
    detail = f"{used:,} of {limit:,} descriptors are open."
    cure = "Raise LimitNOFILE in the systemd unit (or with ulimit -n), then restart the server."
    return Check("Open files", status, detail, "" if status == Status.OK else cure)


def check_event_loop(lags: Sequence[float]) -> Check:
    """Judge how late, in seconds, the timer of the event loop ran in the last minute."""
    name = "Event loop"
    if not lags:
        return Check(name, Status.OK, "There is no measurement yet.")
    longest = max(lags)
    status = _graded(longest, LAG_WARNING, LAG_FAILING)
    detail = f"In the last minute the server was late by {milliseconds(longest)} at most."
    cure = "Look for programs that use the CPU of this machine, or move the server to a faster one."
    return Check(name, status, detail, "" if status == Status.OK else cure)
