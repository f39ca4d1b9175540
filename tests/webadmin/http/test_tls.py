"""The HTTP server with TLS: handshakes, refusals and time limits."""

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from gevent import socket
from gevent.ssl import SSLContext

from sip.addresses import Address
from sip.config import Config, ConfigError
from sip.transport.certificates import Certificate, CertificateError
from tests.support.udp_client import until
from tests.support.wsgi_application import BIG, GET, LONG, Application, ask, length
from tests.webadmin.conftest import PASSWORD
from webadmin.app import build
from webadmin.http import server as wsgi
from webadmin.http.connections import Limits
from webadmin.http.server import WebServer

HELLO = b"\x16\x03\x01"  # how a handshake begins
AUTHORITY = trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    return write(tmp_path, "127.0.0.1")


def write(home: Path, name: str) -> tuple[Path, Path]:
    issued = AUTHORITY.issue_cert(name, common_name=name)
    certificate, key = home / "cert.pem", home / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return certificate, key


class Peer:
    """A client that speaks TLS, or something else."""

    made: list["Peer"] = []  # noqa: RUF012 -- emptied by the fixture

    def __init__(self, web: WebServer, source: str = "127.0.0.1") -> None:
        self.raw = socket.create_connection(web.addresses[0], 20, (source, 0))
        self.made.append(self)

    def encrypts(self, **settings) -> "Peer":
        """Agree on keys."""
        context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2", "http/1.1"])
        AUTHORITY.configure_trust(context)
        for name, value in settings.items():
            setattr(context, name, value)
        self.tls = context.wrap_socket(
            self.raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False
        )
        return self

    def sends(self, data: bytes) -> "Peer":
        self.tls.sendall(data)
        return self

    def gets(self) -> tuple[int, bytes]:
        """Read one answer: its status and body."""
        file = self.tls.makefile("rb")
        status, size = int(file.readline().split()[1]), 0
        while line := file.readline().strip():
            name, _, value = line.lower().partition(b": ")
            size = int(value) if name == b"content-length" else size
        return status, file.read(size)

    def is_served(self) -> bool:
        return self.sends(GET).gets()[0] == 200

    def hears(self) -> bytes:
        """Read all data to the end, without TLS."""
        heard = b""
        with suppress(ConnectionResetError):
            while some := self.raw.recv(65536):
                heard += some
        return heard

    def closes(self) -> None:
        for each in (getattr(self, "tls", None), self.raw):
            if each is not None:
                each.close()


@pytest.fixture
def start(files, caplog, capfd) -> Iterator[Callable[..., WebServer]]:
    """Start a server with TLS; in the end it has no connections, and the log no lines."""
    caplog.set_level(logging.INFO)
    started = []
    application = Application()
    certificate, key = files

    def serving(app=application, **limits) -> WebServer:
        config = Config(
            web_addr=Address("127.0.0.1", 0), web_cert=str(certificate), web_key=str(key)
        )
        started.append(wsgi.serve(config, app, Limits(**limits)))
        return started[-1]

    serving.application = application
    yield serving
    application.go_on.set()
    while Peer.made:
        Peer.made.pop().closes()
    for web in started:
        web.stop()
        assert not web._limiter._connections
    assert not caplog.get_records("call")
    assert capfd.readouterr().err == ""


def connection_count(web: WebServer) -> int:
    return len(web._limiter._connections)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_page_comes_encrypted(start, version):
    peer = Peer(start()).encrypts(maximum_version=version, minimum_version=version)
    assert peer.tls.selected_alpn_protocol() == "http/1.1"
    assert [peer.is_served() for _ in range(3)] == [True] * 3, "one connection serves for many"


@pytest.mark.filterwarnings("ignore:.*TLSVersion.TLSv1_1.*:DeprecationWarning")
def test_a_version_that_is_broken_is_not_spoken(start):
    """RFC 8996: TLS 1.0 and 1.1 must not be used."""
    old = ssl.TLSVersion.TLSv1_1
    web = start()
    with pytest.raises(ssl.SSLError):
        Peer(web).encrypts(minimum_version=old, maximum_version=old)
    assert Peer(web).encrypts().is_served()


def test_the_application_knows_that_it_is_encrypted(start, context, caplog):
    web = start(build(context))
    form = f"username=admin&password={PASSWORD.replace(' ', '+')}".encode()
    head = b"Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n"
    peer = Peer(web).encrypts().sends(ask("/login", head + length(len(form)), "POST") + form)
    answer = peer.tls.recv(65536)
    assert answer.startswith(b"HTTP/1.1 303")
    (cookie,) = [line for line in answer.split(b"\r\n") if line.startswith(b"Set-Cookie:")]
    assert b"; Secure" in cookie
    assert b"\r\nStrict-Transport-Security: max-age=2592000\r\n" in answer
    caplog.clear()  # of the sign-in


def test_much_comes_and_goes_whole(start):
    web = start()
    assert Peer(web).encrypts().sends(ask("/big")).gets() == (200, BIG)
    body = b"x" * 3_000_000
    peer = Peer(web).encrypts().sends(ask("/body", length(len(body)), "POST") + body)
    assert peer.gets() == (200, b"3000000 octets")


def test_plain_http_gets_a_hint_to_use_https(start):
    """A browser takes http:// for granted where nothing is said."""
    peer = Peer(start())
    peer.raw.sendall(GET)
    heard = peer.hears()
    assert heard.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"https://" in heard


@pytest.mark.parametrize(
    "sent",
    [
        HELLO + b"\x02\x00" + b"\xff" * 600,
        HELLO + b"\xff\xff" + b"\0" * 70_000,
        b"\x16",
        b"\0" * 70_000,
        b"\r\n" * 9,
    ],
)
def test_an_invalid_handshake_ends_the_connection_unlogged(start, sent):
    web = start(idle=LONG, head=0.2)
    peer = Peer(web)
    with suppress(OSError):
        peer.raw.sendall(sent)
    peer.hears()
    assert Peer(web).encrypts().is_served()


@pytest.mark.parametrize("sent", [b"", HELLO, HELLO + b"\x02\x00\x01"])
def test_a_handshake_that_hangs_is_not_waited_for(start, sent):
    web = start(idle=LONG, head=0.1)
    peer = Peer(web)
    peer.raw.sendall(sent)
    assert Peer(web).encrypts().is_served(), "no other client waits meanwhile"
    assert peer.hears() == b""


def test_a_slow_handshake_gets_no_extra_time(start):
    peer = Peer(start(idle=LONG, head=0.2))

    def drip() -> None:
        with suppress(OSError):
            for octet in HELLO + b"\x02\x00" + b"\0" * 512:
                peer.raw.sendall(bytes([octet]))
                gevent.sleep(0.02)

    dripping = gevent.spawn(drip)
    with gevent.Timeout(20):
        assert peer.hears() == b""
    dripping.kill()


def test_hanging_handshakes_do_not_lock_others_out(start):
    web = start(idle=LONG, head=LONG, per_address=3, total=5)
    for number in range(12):
        Peer(web, f"127.0.2.{number % 4 + 1}").raw.sendall(HELLO)
    until(lambda: connection_count(web) and all(each.waiting for each in web._limiter._connections))
    assert Peer(web, "127.0.3.1").encrypts().is_served()
    assert connection_count(web) <= 5


def test_an_endless_request_over_tls_gets_408(start):
    peer = Peer(start(idle=LONG, head=0.2)).encrypts().sends(GET[:-2])
    assert peer.gets()[0] == 408


def test_a_head_without_end_is_not_read(start):
    peer = Peer(start(head_bytes=20_000)).encrypts()
    with suppress(OSError):
        peer.sends(GET[:-2] + b"X: " + b"x" * 60_000)
    assert peer.gets()[0] == 431


def test_a_body_cut_short_over_tls_is_not_served(start):
    web = start()
    peer = Peer(web).encrypts().sends(ask("/body", length(9), "POST") + b"part")
    with suppress(OSError):
        peer.tls.unwrap()
    peer.closes()
    assert Peer(web).encrypts().is_served()
    assert not start.application.told


def test_the_last_answer_ends_with_a_farewell(start):
    """RFC 8446 §6.1: without close_notify an attacker could have cut the stream."""
    peer = Peer(start()).encrypts().sends(GET[:-2] + b"Connection: close\r\n\r\n")
    assert peer.gets()[0] == 200
    assert peer.tls.recv(1) == b"", "an end without it would be an SSLEOFError"


def test_a_manipulated_record_is_not_read(start):
    peer = Peer(start()).encrypts()
    assert peer.is_served()
    raw = socket.socket(fileno=peer.tls.detach())
    raw.sendall(b"\x17\x03\x03\x00\x30" + b"\0" * 48)
    raw.settimeout(5)
    with suppress(ConnectionResetError):
        while raw.recv(65536):
            pass
    raw.close()
    assert start.application.served == ["/"]


def test_a_stop_ends_what_is_open(start):
    web = start()
    peer, silent = Peer(web).encrypts(), Peer(web)
    assert peer.is_served()
    web.stop()
    assert connection_count(web) == 0
    assert silent.hears() == b""


def test_a_renewed_certificate_is_served_without_a_new_start(start, files):
    web = start()
    before = Peer(web).encrypts()
    first = before.tls.getpeercert()["serialNumber"]
    write(files[0].parent, "127.0.0.1")
    web.certificates[0].renew()
    assert Peer(web).encrypts().tls.getpeercert()["serialNumber"] != first
    assert before.is_served(), "open connections stay open"


def test_an_unusable_new_certificate_keeps_the_old_one(start, files):
    """It is put there in two steps; in between the one does not fit the other."""
    web = start()
    first = Peer(web).encrypts().tls.getpeercert()["serialNumber"]
    certificate = files[0].read_bytes()
    write(files[0].parent, "127.0.0.1")
    files[0].write_bytes(certificate)
    with pytest.raises(CertificateError, match="belong together"):
        web.certificates[0].renew()
    assert Peer(web).encrypts().tls.getpeercert()["serialNumber"] == first


def test_unusable_certificate_files_are_reported_in_one_sentence(tmp_path, files):
    certificate, key = files
    other = AUTHORITY.issue_cert("127.0.0.1").private_key_pem
    other.write_to_path(tmp_path / "other.pem")
    (tmp_path / "empty.pem").write_bytes(b"")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        load_pem_private_key(other.bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
        )
    )
    for wrong, reason in {
        (certificate, tmp_path / "other.pem"): "key values mismatch",
        (tmp_path / "empty.pem", key): "Both must be PEM files",
        (certificate, tmp_path / "empty.pem"): "Both must be PEM files",
        (tmp_path / "none.pem", key): "cannot read .*none.pem.*No such file",
        (certificate, tmp_path): "cannot",
        (certificate, locked): "has a passphrase",
    }.items():
        with pytest.raises(CertificateError, match=reason) as failure:
            Certificate(*map(str, wrong))
        assert "\n" not in str(failure.value)


@pytest.mark.parametrize("only", [{"web_cert": "c.pem"}, {"web_key": "k.pem"}])
def test_a_certificate_and_its_key_belong_together(only):
    with pytest.raises(ConfigError, match="set both or neither") as refusal:
        Config(**only)
    assert refusal.value.status == 2
