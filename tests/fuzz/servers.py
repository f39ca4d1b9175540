"""Targets that are whole servers: what strangers, members and callees send, and the pages."""

import atexit
import logging
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from sip.core.auth.digest import NONCE_SECONDS, expected_response, read_answer
from sip.message.grammar import BadMessage
from sip.message.headers import parse_credentials
from sip.message.message import Message, Request, Response, parse
from sip.store.database import Database
from tests.support.properties import assert_is_one_message
from tests.support.recording_world import RecordingWorld
from tests.support.world import REALM, SDP, Phone
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import PASSWORD, Clock, context_over
from webadmin.app import build


class _Faults(logging.Handler):
    """Collect the log records of errors of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


_faults = cache(_Faults)


class GuardedServer:
    """A server with two phones, a stranger, and a bound on what it is left to hold."""

    def __init__(self, world: RecordingWorld | None = None) -> None:
        self.world = world or RecordingWorld()
        self.bob, self.carol = self.world.phones("bob", "carol")
        self.eve = self.world.phone("eve", registered=False, host="198.51.100.7")
        self.known = {self.bob.address[0], self.carol.address[0], self.eve.address[0]}
        self.challenge = ""
        self.challenged_at = 0.0
        self.count = 0

    def takes(self, data: bytes, sender: Phone) -> None:
        """Let the server take octets, and hold it to what it must never do."""
        faults, world = _faults(), self.world
        faults.told.clear()
        world.deliver(data, sender.address)
        world.passes(0.5, step=0.5)
        assert not faults.told, faults.told
        assert all(reader.exception is None for reader in world.readers)
        world.readers = [reader for reader in world.readers if not reader.ready()]
        assert world.hosts <= self.known, world.hosts
        for phone in (self.bob, self.carol, self.eve):
            while phone.inbox:
                head = phone.inbox.popleft().partition(b"\r\n\r\n")[0]
                assert_is_one_message(head + b"\r\n\r\n")

    def forget_bob(self) -> None:
        """Remove all bindings of bob."""
        account = self.world.users.find("bob", REALM)
        assert account is not None
        self.world.server.location.remove_accounts([account], REALM)

    def answer(self, request: Request) -> str:
        """Credentials of bob that are right for a request."""
        world = self.world
        if world.now > self.challenged_at + NONCE_SECONDS / 2:
            asked = self.bob.request("REGISTER", f"sip:{REALM}", to=f"<{self.bob.aor}>")
            self.bob.inbox.clear()
            world.deliver(asked.encode(), self.bob.address)
            self.challenge = self.bob.gets(401).fields("www-authenticate")[0]
            self.challenged_at, self.count = world.now, 0
        self.count += 1
        given = parse_credentials(self.challenge).params
        account = world.users.find("bob", REALM)
        params = given | {"username": "bob", "uri": request.uri_text, "cnonce": "c"}
        answer, fault = read_answer(params | {"qop": "auth", "nc": f"{self.count:08x}"})
        assert not fault
        assert account is not None
        response = expected_response(account.ha1_md5 or "", request.method, answer)
        return (
            f'Digest username="bob", realm="{REALM}", nonce="{answer.nonce}", nc={answer.count}, '
            f'uri="{answer.uri}", response="{response}", qop=auth, cnonce="c", algorithm=MD5'
        )


@cache
def _place() -> GuardedServer:
    return GuardedServer()


def stranger(octets: bytes) -> None:
    """Any octets from an unknown source."""
    place = _place()
    place.takes(octets, place.eve)


def member(octets: bytes) -> None:
    """A request with the right password; all the rest is as in the input."""
    place = _place()
    try:
        request = parse(octets)
    except BadMessage:
        return
    if not isinstance(request, Request) or '"' in request.uri_text or "\\" in request.uri_text:
        return
    request.set("from", f"From: <{place.bob.aor}>;tag=1")
    if request.method == "REGISTER":
        request.set("to", f"To: <{place.bob.aor}>")
    for name in ("Authorization", "Proxy-Authorization"):
        request.put_first(name.lower(), f"{name}: {place.answer(request)}")
    place.takes(request.encode(), place.bob)
    place.forget_bob()
    place.bob.registers()


def callee(octets: bytes) -> None:
    """A response of a called phone; the fields that match it to its branch are corrected."""
    place = _place()
    try:
        response = parse(octets)
    except BadMessage:
        return
    if not isinstance(response, Response):
        return
    eve, bob = place.eve, place.bob
    bob.registers()
    invite = eve.request(
        "INVITE",
        bob.aor,
        from_uri="sip:eve@elsewhere.org",
        headers=("Contact: <sip:e@h>",),
        body=SDP,
    )
    place.world.deliver(invite.encode(), eve.address)
    heard = [parse(data) for data in bob.inbox if data.startswith(b"INVITE ")]
    bob.inbox.clear()
    if heard:
        for name in ("via", "call-id", "cseq", "from"):
            _copy(name, heard[0], response)
        place.takes(response.encode(), bob)
        place.world.passes(200, step=20)  # an INVITE that rings is given up in the end
        place.takes(response.encode(), bob)


def _copy(name: str, source: Message, target: Message) -> None:
    lines = [line for known, line in zip(source.names, source.lines, strict=True) if known == name]
    target.remove(name)
    for line in reversed(lines):
        target.put_first(name, line)


@cache
def _browser() -> Browser:
    """A signed-in browser, at a server with a user."""
    rooms = ExitStack()
    atexit.register(rooms.close)
    home = rooms.enter_context(tempfile.TemporaryDirectory())
    database = rooms.enter_context(Database(str(Path(home) / "sip.db")))
    context = rooms.enter_context(context_over(database, Clock()))
    context.users.add("alice", "secret")
    browser = Browser(build(context))
    assert browser.post("/login", username="admin", password=PASSWORD).status == 303
    return browser


def form(octets: bytes) -> None:
    """A request to the pages: a method and a path, header fields, an empty line, the body."""
    head, _, body = octets.partition(b"\n\n")
    first, *fields = head.decode("latin-1").split("\n")
    method, _, path = first.partition(" ")
    if not path.startswith("/") or path.startswith(("/log", "//")) or method not in _METHODS:
        return
    said = (field.partition(":") for field in fields)
    headers = {name.strip(): value.strip() for name, _, value in said if name.strip() in _HEADERS}
    faults, browser = _faults(), _browser()
    faults.told.clear()
    cookies = dict(browser.cookies)
    status = browser.send(
        method, path, b"" if method == "GET" else body, browser.own_site | headers
    ).status
    browser.cookies = cookies
    assert status != 500, faults.told
    assert not faults.told, faults.told


_METHODS = ("GET", "POST")
# Those that are read here; of others the gate and bottle make nothing.
_HEADERS = frozenset(
    "Content-Type Host Origin Sec-Fetch-Site Cookie HX-Request User-Agent Accept Range "
    "If-Modified-Since X-Forwarded-For X-Forwarded-Proto".split()
)
