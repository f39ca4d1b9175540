"""Outbound and GRUUs with phones that we did not write (RFC 5626, RFC 5627)."""

import contextlib
import http.client
import os
import re
import signal
import sqlite3
import subprocess
from pathlib import Path

from tests.support.baresip import OutboundBaresip
from tests.support.phone_calls import talk_and_hear
from tests.support.pjsua import Pjsua
from tests.support.programs import end, program, start, until
from tests.support.server import Server


class TcpPjsua(Pjsua):
    """A pjsua2 on TCP, where it uses Outbound by itself."""

    transport = "tcp"


def bindings(server: Server) -> dict[str, tuple[str, str, int]]:
    """The mark of Outbound, the instance, and the generation of GRUUs, of each user's binding."""
    with contextlib.closing(sqlite3.connect(server.database)) as connection:
        rows = connection.execute("SELECT user_id, flow, instance, generation, aor FROM bindings")
        return {
            aor.partition("@")[0]: (flow.partition(";")[2], instance, generation)
            for _, flow, instance, generation, aor in rows
        }


def keepalives(server: Server, token: str) -> int:
    """The keep-alives that the server has received on UDP."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.web_port)) as asking:
        asking.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
        text = asking.getresponse().read().decode()
    found = re.search(r"^sipserver_keepalives_received_total (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def test_phones_use_outbound_stun_and_gruus(server: Server, phone):
    """RFC 5626 §4, RFC 5627 §4: calls both ways, one of them to a GRUU; STUN is answered."""
    token = server.does("tokens", "add", "prometheus").strip()
    alice, bob = phone(TcpPjsua, "alice", server), phone(OutboundBaresip, "bob", server)
    for each in (alice, bob):
        each.registers()
    bound = bindings(server)
    assert (bound["alice"][0], bound["bob"][0]) == ("ob=1", "ob=1")
    until(lambda: keepalives(server, token) > 0, "a STUN request")

    talk_and_hear(bob, alice)
    alice.holds()  # a re-INVITE to the GRUU that the other phone has as its Contact
    alice.hears_nothing()
    bob.hangs_up()
    alice.call_ends(bob)

    _, instance, generation = bound["bob"]
    assert generation
    alice.dials(f"<sip:bob@{server.domain};gr={instance[1:-1]}>")
    bob.gets_a_call(alice)
    bob.answers()
    for each in (alice, bob):
        each.expects("talking")
    alice.hangs_up()
    bob.call_ends(alice)
    assert "SIP outbound status for acc 0 is active" in alice.log.read_text()
    assert "REGISTER_FAIL" not in bob.output.read_text()


LINPHONE = """\
[sip]
sip_port=-2
sip_tcp_port=-2
sip_tls_port=0
bind_address=127.0.0.1
[auth_info_0]
username=bob
passwd={password}
realm={domain}
[proxy_0]
reg_proxy=<sip:{address};transport=tcp>
reg_route=<sip:{address};transport=tcp;lr>
reg_identity=sip:bob@{domain}
reg_expires=600
reg_sendregister=1
"""


def test_linphone_is_called_and_left_at_its_gruu(server: Server, phone, tmp_path: Path):
    """RFC 5627 §4.4: it takes its public GRUU as the Contact of a call; a BYE has to reach it."""
    home = tmp_path / "linphone"
    (home / ".local/share/linphone").mkdir(parents=True)
    settings = LINPHONE.format(
        password=server.password_of("bob"), domain=server.domain, address=server.address
    )
    (home / "linphonerc").write_text(settings)
    log = home / "log"
    linphone = start(
        [program("linphonec"), "-a", "-c", str(home / "linphonerc"), "-d", "6", "-l", str(log)],
        home / "output",
        stdin=subprocess.PIPE,
        env={**os.environ, "HOME": str(home)},
    )
    try:
        until(lambda: "bob" in bindings(server), "Linphone has registered")
        alice = phone(Pjsua, "alice", server)
        alice.registers()
        assert bindings(server)["bob"][2]
        alice.dials(f"sip:bob@{server.domain}")
        alice.expects("talking")
        ack = re.compile(
            r"Contact: <sip:bob@example\.test;gr=.*^ACK sip:bob@127\.0\.0\.1:", re.S | re.M
        )
        until(lambda: ack.search(log.read_text(errors="replace")), "an ACK to its GRUU")
    finally:
        linphone.stdin.close()
        end(linphone, signal.SIGTERM)
