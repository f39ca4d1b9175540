"""An authenticator with accounts and a test clock; right and wrong answers to challenges."""

import hashlib
import itertools

import pytest

from sip.core.auth.authenticator import Authenticator
from sip.core.auth.digest import Answer, Nonces, expected_response
from sip.core.auth.phone_logins import PhoneLogins
from sip.core.domains import Domains
from sip.core.errors import Challenged
from sip.core.guard.guard import Guard
from sip.message.message import Request, parse
from sip.monitor.events import Bus
from tests.support.accounts import MemoryUsers

REALM, PEER = "example.com", "192.0.2.7"


class AuthenticatorFixture:
    """An authenticator, its accounts and its test clock."""

    def __init__(self, *algorithms: str) -> None:
        self.now = 1000.0
        self.users = MemoryUsers(REALM)
        self.users.add("bob", "secret")
        self.users.add("carol", "secret", "other.org")
        domains = Domains(REALM, [], self.users.realms, {"192.0.2.1"}.__contains__, (5060,))
        numbers = itertools.count()
        self.nonces = Nonces(b"the secret of a test", lambda: format(next(numbers), "016x"))
        self.guard = Guard(
            lambda: self.now, lambda: self.now, (), lambda *who: False, lambda rules: False, Bus()
        )
        self.authenticator = Authenticator(
            self.users,
            domains,
            self.nonces,
            algorithms or ("MD5", "SHA-256"),
            lambda: self.now,
            self.guard,
            PhoneLogins(),
        )
        self.field = "Authorization"
        self.call_id = "c"

    def request(self, *fields: str, method: str = "REGISTER", agent: str = "") -> Request:
        lines = [f"{self.field}: {field}" for field in fields]
        if agent:
            lines.append(f"User-Agent: {agent}")
        message = parse(
            "\r\n".join(
                [
                    f"{method} sip:{REALM} SIP/2.0",
                    "Via: SIP/2.0/UDP h;branch=z9hG4bKx",
                    f"From: <sip:bob@{REALM}>;tag=a",
                    f"To: <sip:bob@{REALM}>",
                    f"Call-ID: {self.call_id}",
                    f"CSeq: 1 {method}",
                    *lines,
                    "",
                    "",
                ]
            ).encode("utf-8", "surrogateescape")
        )
        assert isinstance(message, Request)
        return message

    def digest(self, method: str = "REGISTER", password: str = "secret", **changes: str) -> str:
        """Return right credentials with some parameters changed; "-" leaves a parameter out."""
        params = {
            "username": "bob",
            "realm": REALM,
            "nonce": changes.get("nonce") or self.nonces.make(self.now, PEER),
            "uri": f"sip:{REALM}",
            "algorithm": "MD5",
            "qop": "auth",
            "nc": "00000001",
            "cnonce": "x",
        } | changes
        params = {name: value for name, value in params.items() if value != "-"}
        of = params.get
        hashes = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
        text = f"{of('username')}:{of('realm')}:{password}"
        ha1 = hashes.get(of("algorithm", "MD5").upper(), hashlib.md5)(text.encode()).hexdigest()
        answer = Answer(
            "SHA-256" if of("algorithm") == "SHA-256" else "MD5",
            of("username", ""),
            of("realm", ""),
            of("nonce", ""),
            of("uri", ""),
            "",
            of("qop", ""),
            of("nc", ""),
            of("cnonce", ""),
        )
        params.setdefault("response", expected_response(ha1, method, answer))
        return "Digest " + ", ".join(f'{name}="{value}"' for name, value in params.items())

    def lets_in(
        self, *fields: str, realm: str = REALM, method: str = "REGISTER", as_proxy: bool = False
    ) -> str:
        request = self.request(*fields, method=method)
        return self.authenticator.authenticate(request, realm, PEER, as_proxy=as_proxy).username

    def challenges(
        self, *fields: str, realm: str = REALM, source: str = PEER, as_proxy: bool = False, **more
    ):
        """The challenge, and the values of its fields."""
        request = self.request(*fields, **more)
        with pytest.raises(Challenged) as challenged:
            self.authenticator.authenticate(request, realm, source, as_proxy=as_proxy)
        return challenged.value, [value for _, value in challenged.value.extra]
