"""The health checks: each good value is ok, and each bad one names its cure."""

from sip.monitor import health
from sip.monitor.health import Check, RoundTrip, Status, exit_code, worst
from tests.support.cases import cases

GB = 10**9
HERE = RoundTrip("192.0.2.1:5060", 0.0006)
SILENT = RoundTrip("192.0.2.2:5060", 0.0, "none came within 1.5 s")
ADVERTISED = ("sip.example.com", ["203.0.113.9"], "")


@cases(
    ("check", "words"),
    [
        (health.check_transport("UDP", [HERE]), "Answers OPTIONS at 192.0.2.1:5060 in 0.6 ms."),
        (health.check_buffers([4_194_304], 12_000), "granted 4.19 MB"),
        (health.check_buffers([212_992], 12), "granted 213 kB"),
        (health.check_clock(0.1, True), "A time service keeps the clock right."),
        (health.check_clock(3600, True), "set by +3600 s since the start"),
        (health.check_clock(0.1, None), "no step"),
        (health.check_disk(12 * GB, "sip.db"), "12 GB are free"),
        (health.check_database(4_200_000, ""), "writable, and has 4.2 MB"),
        (health.check_commits([]), "no commit yet"),
        (health.check_commits([0.002, 0.003, 0.02]), "3 commits took 3.0 ms each"),
        (health.check_certificate(60.0, "", is_exposed=True), "valid for 60 more days"),
        (health.check_certificate(None, "", is_exposed=False), "on this machine only"),
        (health.check_domain("pbx", {}, ""), "pbx is no DNS name"),
        (health.check_domain("example.com", {"192.0.2.1": True}, ""), "at 192.0.2.1"),
        (health.check_advertised("", [], "", is_own=True), "the address of this machine"),
        (health.check_advertised(*ADVERTISED, is_own=False), "a router has to forward it"),
        (health.check_nat(0, 0, 9, 0), "No phone behind NAT"),
        (health.check_nat(0, 1, 1, 0), "NAT: 0 over UDP, 1 over TCP. 1 user has a phone"),
        (health.check_nat(1, 1000, 9, 25), "1,001 phones are behind NAT: 1 over UDP, 1,000"),
        (health.check_rtp_ports("9000-9199", "", is_on=True), "free pair of the UDP ports 9000"),
        (health.check_rtp_ports("9000-9199", "", is_on=False), "The robot is off"),
        (health.check_media_relay("", 0.0, ""), "directly between phones"),
        (health.check_media_relay("127.0.0.1:2223", 0.002, ""), "answers in 2.0 ms"),
        (health.check_control_socket(""), "The commands of the operator reach"),
        (health.check_files(100, 1024), "100 of 1,024"),
        (health.check_event_loop([0.001, 0.03]), "late by 30 ms at most"),
    ],
)
def test_a_good_value_is_ok_and_needs_no_cure(check: Check, words: str):
    assert check.status == Status.OK
    assert words in check.detail
    assert not check.cure


W, F = Status.WARNING, Status.FAILING


@cases(
    ("check", "status", "detail", "cure"),
    [
        (health.check_transport("UDP", [HERE, SILENT]), F, "at 192.0.2.2:5060: none", "firewall"),
        (health.check_buffers([212_992], 5000), W, "Messages are lost", "rmem_max"),
        (health.check_clock(0.0, False), W, "No time service", "chrony"),
        (health.check_clock(-7200, None), W, "set by -7200 s", "chrony"),
        (health.check_disk(100_000_000, "a.db"), W, "100 MB are free", "the disk of a.db"),
        (health.check_disk(1_000_000, "a.db"), F, "1 MB are free", "Delete files"),
        (health.check_database(1, "database or disk is full"), F, "disk is full", "Make room"),
        (health.check_commits([0.3, 0.4, 0.5]), W, "400 ms each", "SSD"),
        (health.check_commits([0.01, 0.01, 3.0]), W, "the longest one 3.0 s", "lock"),
        (health.check_commits([2.5, 2.5]), F, "2.5 s each", "faster disk"),
        (health.check_certificate(None, "", is_exposed=True), W, "not encrypted", "-web.cert"),
        (health.check_certificate(5.0, "", is_exposed=True), W, "5 more days", "Renew"),
        (health.check_certificate(-2.0, "", is_exposed=True), F, "expired 2 days ago", "Renew"),
        (health.check_certificate(None, "no PEM", is_exposed=True), F, "no PEM", "-web.cert"),
        (health.check_domain("example.com", {}, "no A record"), W, "no A record", "Add an A"),
        (
            health.check_domain("example.com", {"192.0.2.1": True, "192.0.2.9": False}, ""),
            W,
            "leads to 192.0.2.9, which is no address of this server",
            "-sip.advertise",
        ),
        (
            health.check_advertised("sip.example.com", [], "no answer", is_own=False),
            F,
            "sip.example.com leads to no address: no answer",
            "Correct -sip.advertise",
        ),
        (health.check_nat(7, 1, 9, 0), W, "No keep-alive is sent", "-sip.keepalive 25"),
        (health.check_rtp_ports("9-9", "in use", is_on=True), W, "calls: in use", "-rtp.ports"),
        (health.check_media_relay("[::1]:2223", 0.0, "it is down"), F, "it is down", "listen-ng"),
        (health.check_control_socket("a.db.sock is gone"), W, "a.db.sock is gone", "restart"),
        (health.check_files(900, 1024), W, "900 of 1,024", "LimitNOFILE"),
        (health.check_files(1020, 1024), F, "1,020 of 1,024", "LimitNOFILE"),
        (health.check_event_loop([0.01, 0.5]), W, "late by 500 ms", "CPU"),
        (health.check_event_loop([0.01, 4.0]), F, "late by 4.0 s", "CPU"),
    ],
)
def test_a_bad_value_names_its_cure(check: Check, status: str, detail: str, cure: str):
    assert check.status == status
    assert detail in check.detail
    assert cure in check.cure


def test_the_worst_check_decides_the_exit_code():
    ok, warning, failing = (Check("", each, "") for each in (Status.OK, W, F))
    assert [exit_code(worst(some)) for some in ([], [ok], [warning, ok], [ok, failing])] == [
        *(0, 0, 1, 2)
    ]
    assert exit_code("a word of a later version") == 2
