"""Unusual and hostile credentials (RFC 3261 §22, RFC 7616, RFC 8760)."""

import hashlib

import pytest

from sip.message.headers import parse_credentials
from sip.message.message import Request, Response, parse
from tests.support.cases import cases
from tests.support.world import REALM, Phone, World

PROXY = ("proxy-authenticate", "proxy-authorization", "Proxy-Authorization")
REGISTRAR = ("www-authenticate", "authorization", "Authorization")


def hashed(algorithm: str, text: str) -> str:
    return hashlib.new({"MD5": "md5", "SHA-256": "sha256"}[algorithm], text.encode()).hexdigest()


def answer_to(
    challenge: str, request: Request, *, uri: str = "", password: str = "secret", count: int = 1
) -> str:
    """The value that answers a challenge."""
    params = parse_credentials(challenge).params
    algorithm, realm, nonce = params["algorithm"], params["realm"], params["nonce"]
    uri, user = uri or request.uri_text, request.from_.sip_uri.username
    ha1 = hashed(algorithm, f"{user}:{realm}:{password}")
    ha2 = hashed(algorithm, f"{request.method}:{uri}")
    response = hashed(algorithm, f"{ha1}:{nonce}:{count:08x}:c:auth:{ha2}")
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm={algorithm}, qop=auth, nc={count:08x}, cnonce="c"'
    )


class Asking:
    """One request of a phone, asked again and again with other credentials."""

    def __init__(self, phone: Phone, method: str, uri: str, **more) -> None:
        self.phone = phone
        self.challenged, self.named, self.title = REGISTRAR if method == "REGISTER" else PROXY
        self.request = phone.request(method, uri, **more)
        self.number = 0
        self.challenges = self.again().fields(self.challenged)

    def again(self, *values: str, title: str = "") -> Response:
        """Ask once more, in a new transaction; return the response."""
        self.number += 1
        copy = self.request.copy()
        sent_by = self.request.via.sent_by
        branch = f"z9hG4bK{self.phone.name}asks{self.number}"
        copy.set("via", f"Via: SIP/2.0/UDP {sent_by};branch={branch};rport")
        copy.set("cseq", f"CSeq: {1000 + self.number} {self.request.method}")
        for value in values:
            name = title or self.title
            copy.append(name.lower(), f"{name}: {value}")
        self.phone.transmits(parse(copy.encode()))
        answer = self.phone.takes()
        assert isinstance(answer, Response)
        return answer


def registering(world: World, name: str = "bob", uri: str = f"sip:{REALM}") -> Asking:
    phone = world.phone(name, registered=False)
    return Asking(phone, "REGISTER", uri, to=f"<{phone.aor}>")


# Several credentials


@pytest.mark.parametrize("order", [1, -1])
def test_each_challenge_may_be_answered(world: World, order: int):
    """§22.3, RFC 8760 §2.3: one Authorization for each WWW-Authenticate, in any order."""
    bob = registering(world)
    answers = [answer_to(challenge, bob.request) for challenge in bob.challenges]
    assert len(answers) == 2
    assert bob.again(*answers[::order]).status == 200
    assert bob.again(answer_to(bob.challenges[1], bob.request, count=2)).status == 200


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_wrong_beside_what_is_right_is_passed_over(world: World, order: int):
    """§22.1, §22.3: schemes and realms of others, an old nonce, an algorithm that we don't know."""
    bob = registering(world)
    right = answer_to(bob.challenges[0], bob.request)
    nonce = parse_credentials(right).params["nonce"]
    values = [
        "Basic Ym9iOnNlY3JldA==",
        f'Bearer realm="{REALM}"',
        answer_to(bob.challenges[0], bob.request, password="wrong"),
        right.replace(nonce, "of-another-server"),
        right.replace("algorithm=MD5", "algorithm=AKAv1-MD5"),
        right.replace(REALM, "elsewhere.org"),
        right,
    ]
    assert bob.again(*values[::order]).status == 200


def test_basic_is_neither_asked_for_nor_taken(world: World):
    """§22, §22.4: MUST NOT, both."""
    bob = registering(world)
    answer = bob.again("Basic Ym9iOnNlY3JldA==")
    assert answer.status == 401
    assert all(value.startswith("Digest ") for value in answer.fields("www-authenticate"))


def test_a_challenge_names_qop_and_each_algorithm_once(world: World):
    """§22.4, item 8: qop always; RFC 8760 §2.3: one algorithm each; auth-int is not offered."""
    bob = registering(world)
    params = [parse_credentials(value).params for value in bob.challenges]
    assert [one["algorithm"] for one in params] == ["MD5", "SHA-256"]
    assert {one["qop"] for one in params} == {"auth"}
    assert {one["realm"] for one in params} == {REALM}
    assert not {"userhash", "charset", "domain"} & set(params[0])


def test_integrity_that_was_not_offered_is_not_taken(world: World):
    """RFC 7616 §3.4: qop is one of the alternatives of the challenge."""
    bob = registering(world)
    params = parse_credentials(bob.challenges[0]).params
    ha1 = hashed("MD5", f"bob:{REALM}:secret")
    ha2 = hashed("MD5", f"REGISTER:sip:{REALM}:" + hashed("MD5", ""))
    response = hashed("MD5", f"{ha1}:{params['nonce']}:00000001:c:auth-int:{ha2}")
    value = (
        f'Digest username="bob", realm="{REALM}", nonce="{params["nonce"]}", uri="sip:{REALM}", '
        f'response="{response}", qop=auth-int, nc=00000001, cnonce="c"'
    )
    answer = bob.again(value)
    assert answer.status == 401
    assert "stale" not in answer.fields("www-authenticate")[0]


# The right field


def test_credentials_in_the_field_of_the_other_role_are_none(world: World):
    """§22.2, §22.3: a registrar reads Authorization, a proxy reads Proxy-Authorization."""
    bob = registering(world)
    right = answer_to(bob.challenges[0], bob.request)
    assert bob.again(right, title="Proxy-Authorization").status == 401
    assert bob.again(right).status == 200
    alice = Asking(world.phone("alice"), "MESSAGE", f"sip:nobody@{REALM}")
    right = answer_to(alice.challenges[0], alice.request)
    refused = alice.again(right, title="Authorization")
    assert refused.status == 407
    assert "www-authenticate" not in refused.names
    assert alice.again(right).status == 404


def test_a_success_says_nothing_more_about_the_digest(world: World):
    """RFC 7616 §3.5: Authentication-Info may be sent, and is not."""
    bob = registering(world)
    answer = bob.again(answer_to(bob.challenges[0], bob.request))
    assert answer.status == 200
    assert not {"authentication-info", "www-authenticate"} & set(answer.names)


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_what_cannot_be_sent_again_is_never_challenged(world: World, method: str):
    """§22.1: neither an ACK nor a CANCEL, with any credentials."""
    alice, bob = world.phones("alice", "bob")
    wrong = f'Proxy-Authorization: Digest username="alice", realm="{REALM}", nonce="x", uri="y"'
    for headers in ((), (wrong,)):
        alice.transmits(alice.request(method, bob.aor, headers=headers))
        while not alice.hears_nothing():
            assert alice.takes().status not in (401, 407)
    assert bob.hears_nothing()


# The uri


@cases(
    ("asked", "uri", "status"),
    [
        (f"sip:{REALM}", "sip:EXAMPLE.com", 200),
        (f"sip:{REALM}", "sip:192.0.2.1:5060", 200),
        (f"sip:{REALM}", "sip:192.0.2.1", 200),
        (f"sip:{REALM}", f"sip:bob@{REALM};transport=udp", 200),
        ("sip:192.0.2.1", f"sip:{REALM}", 200),
        (f"sip:{REALM}", "sip:elsewhere.org", 400),
        (f"sip:{REALM}", "sip:192.0.2.1:5999", 400),
        (f"sip:{REALM}", "/dir/index.html", 400),
        (f"sip:{REALM}", "*", 400),
    ],
)
def test_the_uri_of_a_digest_is_one_that_is_served_here(world: World, asked, uri, status: int):
    """§22.4, item 6; RFC 7616 §3.4.6: 400 for credentials that were made for another server."""
    bob = registering(world, uri=asked)
    value = answer_to(bob.challenges[0], bob.request, uri=uri)
    assert bob.again(value).status == status


def test_the_digest_uri_may_be_another_spelling(world: World):
    """§22.4, item 6, with §19.1.4: an external address in another spelling."""
    alice = Asking(world.phone("alice"), "MESSAGE", "sip:x@Elsewhere.org;a=1;b=2")
    value = answer_to(alice.challenges[0], alice.request, uri="sip:%78@elsewhere.ORG;b=2;a=1")
    assert alice.again(value).status == 403  # the caller is authenticated; calls to outside are off
    value = answer_to(alice.challenges[0], alice.request, uri="sip:y@elsewhere.org", count=2)
    assert alice.again(value).status == 400


# Names beyond ASCII


@pytest.mark.parametrize("name", ["j\u00f6rg", "j@s0n"])
def test_a_name_is_plain_in_the_digest_and_escaped_in_the_uri(world: World, name: str):
    """§25.1: UTF-8 in a quoted string; §19.1.2: octets that a URI can't hold are escaped."""
    world.users.add(name, "secret")
    phone = world.phone("p", registered=False)
    escaped = name.replace("@", "%40").replace("\u00f6", "%C3%B6")
    address = f"sip:{escaped}@{REALM}"
    headers = (f"Contact: {phone.contact}",)
    asking = Asking(
        phone, "REGISTER", f"sip:{REALM}", to=f"<{address}>", from_uri=address, headers=headers
    )
    assert asking.again(answer_to(asking.challenges[0], asking.request)).status == 200
    aor = f"{name.replace('@', '%40')}@{REALM}"  # the first @ stands before the realm
    assert {row.aor for row in world.bindings.rows.values()} == {aor}


# RFC 2069


@pytest.mark.parametrize("count", ["00000001", "7fffffff", "ffffffc0", "ffffffff"])
def test_a_nonce_used_without_a_count_takes_no_count_later(world: World, count: str):
    """RFC 2069 has no count, so such a nonce serves once; nc has eight digits (RFC 7616 §3.4)."""
    alice = world.phone("alice", registered=False)
    request = alice.request("REGISTER", f"sip:{REALM}", to=f"<{alice.aor}>")
    alice.transmits(request)
    challenge = alice.gets(401)
    nonce = parse_credentials(challenge.fields("www-authenticate")[0]).params["nonce"]

    assert _answer(alice, nonce, "").status == 200
    again = _answer(alice, nonce, count)
    assert again.status == 401
    assert "stale=true" in again.fields("www-authenticate")[0]


def _answer(phone, nonce: str, count: str):
    ha1, ha2 = _md5(f"{phone.name}:{REALM}:secret"), _md5(f"REGISTER:sip:{REALM}")
    qop = f', qop=auth, nc={count}, cnonce="c"' if count else ""
    middle = f"{count}:c:auth:" if count else ""
    response = _md5(f"{ha1}:{nonce}:{middle}{ha2}")
    line = (
        f'Authorization: Digest username="{phone.name}", realm="{REALM}", nonce="{nonce}", '
        f'uri="sip:{REALM}", response="{response}"{qop}'
    )
    phone.transmits(phone.request("REGISTER", f"sip:{REALM}", to=f"<{phone.aor}>", headers=(line,)))
    return parse(phone.inbox.popleft())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
