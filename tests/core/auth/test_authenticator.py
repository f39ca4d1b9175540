"""Which credentials are accepted, and which challenges are sent (RFC 3261 §22, 7616, 8760)."""

import pytest

from sip.core.auth import authenticator, digest
from sip.core.auth.authenticator import MAX_ANSWERS
from sip.core.auth.digest import NONCE_SECONDS, Answer, expected_response
from sip.core.errors import Refused
from sip.message.headers import parse_credentials
from tests.support.authenticator_fixture import PEER, REALM, AuthenticatorFixture


@pytest.fixture
def bench() -> AuthenticatorFixture:
    return AuthenticatorFixture()


def answers_computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The HA1 of each answer that is computed by MD5 from here on, in order."""
    ha1s: list[str] = []

    def md5(data: bytes) -> str:
        ha1, *others = data.decode().split(":")
        if len(others) == 5:  # nonce, count, cnonce, qop and HA2 (RFC 7616 §3.4.1)
            ha1s.append(ha1)
        return whole(data)

    whole = digest._HASHES["MD5"]
    monkeypatch.setitem(digest._HASHES, "MD5", md5)
    return ha1s


# Choosing among credentials


def test_the_right_answer_is_let_in_once(bench: AuthenticatorFixture):
    """RFC 7616 §3.4."""
    field = bench.digest()
    assert bench.lets_in(field) == "bob"
    _, challenges = bench.challenges(field)
    assert all("stale=true" in challenge for challenge in challenges)


@pytest.mark.parametrize("order", [1, -1])
def test_ours_are_found_among_those_of_others(bench: AuthenticatorFixture, order: int):
    """§22.3: other realms', other schemes', unreadable ones, in any order."""
    others = [
        bench.digest(realm="elsewhere.org"),
        'Digest realm="EXAMPLE.COM", nonce="x"',
        "Basic Ym9iOnNlY3JldA==",
        'Bearer realm="example.com", token="x"',
        'Digest realm="example.com',
        'Digest realm="example.com", realm="example.com"',
        "",
    ]
    assert bench.lets_in(*[*others, bench.digest()][::order]) == "bob"


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "wrong"},
        {"username": "nobody"},
        {"username": "bob", "response": ""},
        {"nonce": "made-by-another"},
        {"nonce": "0" * 40},
        {"algorithm": "SHA-1"},
        {"algorithm": "SHA-512-256"},
        {"algorithm": "MD5-sess"},
        {"qop": "auth-int"},
        {"nc": "1"},
        {"uri": "sip:evil.org"},
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_of_several_for_our_realm_one_that_is_right_is_enough(
    bench: AuthenticatorFixture, wrong, order: int
):
    """§22.3: a client may send several for one realm, one for each challenge it has had."""
    assert bench.lets_in(*[bench.digest(**wrong), bench.digest()][::order]) == "bob"


def test_a_client_may_answer_each_challenge(bench: AuthenticatorFixture):
    """RFC 8760 §2.3: one nonce, an algorithm each."""
    nonce = bench.nonces.make(bench.now, PEER)
    fields = [bench.digest(nonce=nonce, algorithm=name) for name in ("SHA-256", "MD5")]
    assert bench.lets_in(*fields) == "bob"


def test_an_unverified_source_has_few_answers_checked(bench: AuthenticatorFixture, monkeypatch):
    """Of any request; those with a nonce of ours first."""
    many = [*(bench.digest(nonce=f"foreign{n}") for n in range(100)), bench.digest()]
    guesses = [*(bench.digest(password=f"guess{n}") for n in range(100)), bench.digest()]
    computed = answers_computed(monkeypatch)
    assert bench.lets_in(*many) == "bob"
    assert len(computed) == 1
    bench.challenges(*guesses)
    assert len(computed) == 1 + MAX_ANSWERS


def test_of_several_wrong_answers_the_stale_one_is_reported(bench: AuthenticatorFixture):
    """RFC 7616 §3.3: its password was right, so the phone need not ask for it again."""
    old = bench.digest()
    bench.now += NONCE_SECONDS + 1
    foreign, wrong = bench.digest(uri="sip:evil.org"), bench.digest(password="wrong")
    for fields in ((old, wrong), (wrong, old), (foreign, old), (old, foreign)):
        _, challenges = bench.challenges(*fields)
        assert all("stale=true" in challenge for challenge in challenges)
    with pytest.raises(Refused) as refused:
        bench.lets_in(wrong, foreign)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "changed",
    [
        ("Digest ", "dIGEST "),
        ("Digest ", "DIGEST   "),
        ("username=", "UserName = "),
        ("realm=", "REALM="),
        ("qop=", "QOP="),
        ('qop="auth"', "qop=auth"),
        ('algorithm="MD5"', "algorithm=MD5"),
        ('algorithm="MD5"', "algorithm=md5"),
        ('nc="00000001"', "nc=00000001"),
        ("Digest ", 'Digest opaque="", charset=UTF-8, stale=FALSE, unheard-of="a, b=c", x=y, '),
        ("Digest ", "Digest userhash=false, "),
        (", ", " ,\t"),
    ],
)
def test_names_have_no_case_and_unknown_parameters_are_ignored(
    bench: AuthenticatorFixture, changed: tuple[str, str]
):
    """RFC 7616 §3.4, §3.4.5: the hash is over the unquoted value."""
    assert bench.lets_in(bench.digest().replace(*changed)) == "bob"


@pytest.mark.parametrize("username", ["j\u00f6rg", 'a"b', "a\\b", "j@s0n", "+1 555", "a%41"])
def test_a_name_is_what_its_quoted_string_means(bench: AuthenticatorFixture, username: str):
    """§25.1 and RFC 7616 §3.4.5: UTF-8 as it is, backslashes undone, %HH left alone."""
    bench.users.add(username, "secret")
    written = username.replace("\\", "\\\\").replace('"', '\\"')
    field = bench.digest(username=username).replace(f'"{username}"', f'"{written}"')
    assert bench.lets_in(field) == username


@pytest.mark.parametrize(
    "more", ["username*=UTF-8''bob, ", "userhash=true, ", "userhash=TRUE, ", 'userhash="true", ']
)
def test_a_name_that_is_hashed_or_named_twice_is_not_taken(bench: AuthenticatorFixture, more: str):
    """RFC 7616 §3.4: both names are an error; §3.4.4: no challenge of ours asks for a hash."""
    challenge, _ = bench.challenges(bench.digest().replace("Digest ", "Digest " + more))
    assert "hashed" in challenge.cause


@pytest.mark.parametrize(
    ("as_proxy", "field", "status"),
    [(False, "Authorization", 401), (True, "Proxy-Authorization", 407)],
)
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_each_role_has_its_own_field(
    bench: AuthenticatorFixture, method: str, as_proxy: bool, field: str, status: int
):
    """§22.2 and §22.3: a registrar is a UAS, a proxy is not."""
    bench.field = field
    assert bench.lets_in(bench.digest(method), method=method, as_proxy=as_proxy) == "bob"
    bench.field = {"Authorization": "Proxy-Authorization"}.get(field, "Authorization")
    challenge, _ = bench.challenges(bench.digest(method), method=method, as_proxy=as_proxy)
    assert challenge.status == status
    wanted = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}[status]
    assert {name for name, _ in challenge.extra} == {wanted}


def test_a_user_is_known_in_his_own_realm_alone(bench: AuthenticatorFixture):
    """§22.1: realms divide the names."""
    assert bench.lets_in(bench.digest(username="carol", realm="other.org"), realm="other.org")
    bench.challenges(bench.digest(username="carol"))
    bench.challenges(bench.digest(username="carol", realm="other.org"))
    bench.challenges(bench.digest(), realm="other.org")


def test_no_qop_may_stand_for_auth(bench: AuthenticatorFixture):
    """RFC 8760 §2.6, item 8; and RFC 2069 with a cnonce of no use is taken all the same."""
    assert bench.lets_in(bench.digest().replace('qop="auth", ', "")) == "bob"
    field = bench.digest(qop="-")
    assert bench.lets_in(field) == "bob"
    bench.challenges(field)
    bench.challenges(bench.digest(password="wrong").replace('qop="auth", ', ""))


def test_an_answer_after_rfc_2069_is_let_in_once(bench: AuthenticatorFixture):
    """RFC 7616 §3.4: no qop; RFC 2069."""
    field = bench.digest(qop="-", nc="-", cnonce="-", algorithm="-")
    assert bench.lets_in(field) == "bob"
    bench.challenges(field)
    qop_later = bench.digest(nonce=parse_credentials(field).params["nonce"], nc="00000002")
    bench.challenges(qop_later)


# Refused credentials


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "wrong"},
        {"username": "nobody"},
        {"username": "Bob"},
        {"username": ""},
        {"response": ""},
        {"response": "0" * 31},
        {"nc": "00000000"},
        {"nc": "0x000001"},
        {"qop": "auth-int"},
        {"algorithm": "MD5-sess"},
        {"algorithm": "SHA-512-256"},
        {"nonce": "0" * 40},
        {"cnonce": ""},
    ],
)
def test_wrong_credentials_are_challenged_again(
    bench: AuthenticatorFixture, changes: dict[str, str]
):
    """RFC 7616 §3.4.5."""
    bench.challenges(bench.digest(**changes))


def test_an_algorithm_that_is_not_offered_is_not_taken():
    """RFC 8760 §2.6: MD5 that is switched off is not accepted."""
    bench = AuthenticatorFixture("SHA-256")
    bench.challenges(bench.digest())
    bench.challenges(bench.digest(algorithm="-"))
    assert bench.lets_in(bench.digest(algorithm="SHA-256")) == "bob"
    _, challenges = bench.challenges()
    assert ["algorithm=SHA-256" in challenge for challenge in challenges] == [True]


def test_the_hash_of_one_algorithm_is_no_answer_to_another(bench: AuthenticatorFixture):
    """RFC 7616 §3.4."""
    md5 = bench.digest()
    bench.challenges(md5.replace('algorithm="MD5"', 'algorithm="SHA-256"'))


def test_an_account_without_an_ha1_for_the_algorithm_is_refused(bench: AuthenticatorFixture):
    """None is no HA1, and neither is the dummy for unknown users."""
    bench.users.accounts["bob", REALM].ha1_sha256 = None
    bench.challenges(bench.digest(algorithm="SHA-256"))
    for username in ("bob", "nobody"):
        field = bench.digest(algorithm="SHA-256", username=username)
        params = parse_credentials(field).params
        answer = Answer(
            "SHA-256", username, REALM, params["nonce"], params["uri"], "", "auth", "00000001", "x"
        )
        forged = expected_response(authenticator._DUMMY_HA1, "REGISTER", answer)
        bench.challenges(field.replace(params["response"], forged))
    assert bench.lets_in(bench.digest()) == "bob"


@pytest.mark.parametrize(
    ("uri", "is_taken"),
    [
        ("sip:example.com", True),
        ("sip:192.0.2.1:5060", True),
        ("sip:anybody@other.org", True),
        ("sip:evil.org", False),
        ("SIP:EXAMPLE.com.", True),
        ("sips:example.com", True),
        ("sip:example.com:5060;transport=udp", True),
        ("sip:example.com@evil.org", False),
        ("sip:192.0.2.1:5999", False),
        ("http://example.com", False),
        ("", False),
    ],
)
def test_a_digest_made_for_another_server_is_refused(
    bench: AuthenticatorFixture, uri: str, is_taken: bool
):
    """RFC 7616 §3.4.6: its uri is the Request-URI, or names us."""
    field = bench.digest(uri=uri)
    if is_taken:
        assert bench.lets_in(field) == "bob"
        return
    with pytest.raises(Refused) as refused:
        bench.lets_in(field)
    assert refused.value.status == 400


# Nonces


def test_stale_is_sent_only_for_a_right_password(
    bench: AuthenticatorFixture,
):
    """RFC 7616 §3.3: stale says that the password was right."""
    right, wrong = bench.digest(), bench.digest(password="wrong")
    for source, wait in (("192.0.2.66", 0.0), (PEER, NONCE_SECONDS + 1)):
        bench.now += wait
        _, challenges = bench.challenges(right, source=source)
        assert all("stale=true" in challenge for challenge in challenges)
        _, challenges = bench.challenges(wrong, source=source)
        assert not any("stale" in challenge for challenge in challenges)


def test_a_wrong_guess_uses_no_nonce_up(bench: AuthenticatorFixture):
    """An attacker on the path cannot use up the nonce of a phone."""
    nonce = bench.nonces.make(bench.now, PEER)
    bench.challenges(bench.digest(nonce=nonce, password="wrong"))
    bench.challenges(bench.digest(nonce=nonce, response="0" * 32))
    assert bench.lets_in(bench.digest(nonce=nonce)) == "bob"


# No hints for strangers


def test_an_unknown_user_costs_the_same_and_gets_the_same(bench: AuthenticatorFixture, monkeypatch):
    """§22.4: one digest is computed for every answer, and the challenge is the same."""
    off = bench.users.add("off", "secret")
    off.enabled = False
    heard = set()
    tried = (("bob", "wrong"), ("nobody", "x"), ("off", "secret"), ("off", "x"))
    fields = [bench.digest(username=username, password=password) for username, password in tried]
    computed = answers_computed(monkeypatch)
    for field in fields:
        challenge, challenges = bench.challenges(field)
        nonces = {parse_credentials(value).params["nonce"] for value in challenges}
        assert len(nonces) == 1
        heard.add((challenge.status, challenge.reason, str(challenges).replace(nonces.pop(), "")))
    bob = bench.users.find("bob", REALM)
    assert computed == [bob.ha1_md5, authenticator._DUMMY_HA1, off.ha1_md5, off.ha1_md5]
    assert len(heard) == 1


# Offered algorithms


@pytest.mark.parametrize(
    ("agent", "offered"),
    [
        ("baresip v1.0.0 (x86_64/linux)", ["MD5"]),
        ("baresip 0.6.5", ["MD5"]),
        ("Baresip v3.9.0", ["MD5"]),
        ("baresip v3.10.1", ["MD5"]),
        ("baresip v3.11.0", ["MD5", "SHA-256"]),
        ("baresip v3.100.0", ["MD5", "SHA-256"]),
        ("baresip v4.1.0", ["MD5", "SHA-256"]),
        ("baresip v10.0.0", ["MD5", "SHA-256"]),
        ("Not baresip v1.0.0", ["MD5", "SHA-256"]),
        ("", ["MD5", "SHA-256"]),
    ],
)
def test_a_phone_that_stumbles_over_sha_is_offered_md5_alone(
    bench: AuthenticatorFixture, agent, offered
):
    """RFC 8760 §2.4 wants unknown challenges passed over; old baresip gives up at one."""
    _, challenges = bench.challenges(agent=agent)
    assert [parse_credentials(value).params["algorithm"] for value in challenges] == offered


def test_an_md5_only_phone_is_offered_sha_where_md5_is_off():
    """Better a phone that can't than a password hash that was switched off."""
    _, challenges = AuthenticatorFixture("SHA-256").challenges(agent="baresip v1.0.0")
    assert [parse_credentials(value).params["algorithm"] for value in challenges] == ["SHA-256"]


def test_a_challenge_is_sent_even_if_no_algorithm_fits_all(bench: AuthenticatorFixture):
    """A challenge without a challenge could not be answered."""
    bench.users.missing = {"MD5", "SHA-256"}
    _, challenges = bench.challenges()
    assert [parse_credentials(value).params["algorithm"] for value in challenges] == ["MD5"]


def test_a_request_without_credentials_is_no_refusal(bench: AuthenticatorFixture):
    """No cause, so no line in the log."""
    assert bench.challenges()[0].cause == ""
    assert bench.challenges(bench.digest(realm="elsewhere.org"))[0].cause == ""
    assert "password" in bench.challenges(bench.digest(password="wrong"))[0].cause
