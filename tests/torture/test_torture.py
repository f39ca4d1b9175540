"""The messages that the IETF published to torture parsers (RFC 4475, RFC 5118), one by one.

Each is read by the parser alone, then sent to a whole server by a stranger.
"""

import logging

import pytest

from sip.message.grammar import BadMessage
from sip.message.headers import parse_name_addr, parse_via
from sip.message.message import BadRequest, Request, Response, parse
from sip.message.uri import SipUri, parse_uri
from tests.support.cases import cases
from tests.support.torture_messages import (
    DROPPED,
    FOLDER,
    PORTS,
    REFUSED,
    REQUESTS,
    RESPONSES,
    octets,
)
from tests.support.world import World

HOST = "198.51.100.7"


@pytest.fixture
def answers_to(world: World, caplog: pytest.LogCaptureFixture):
    """Has a stranger send octets, and gives the statuses of what the server sends back."""
    for username in ("user", "watson", "j.user", "j_user", "t.watson", "vivekg", "null-\0-null"):
        world.users.add(username, "secret")
    stranger = world.phone("stranger", registered=False, host=HOST)
    world.at |= {(HOST, port): stranger for port in PORTS}
    caplog.set_level(logging.INFO)

    def send(data: bytes) -> list[int]:
        world.deliver(data, stranger.address)
        complaints = [r for r in caplog.records if r.exc_info or r.levelno > logging.INFO]
        assert not complaints, complaints
        assert not world.lost, "something went to an address that the message chose"
        # An answer copies the faults of its request, so our parser may refuse it.
        lines = [answer.partition(b"\r\n")[0].split(b" ") for answer in stranger.inbox]
        assert all(version == b"SIP/2.0" for version, *_ in lines)
        return [int(status) for _, status, *_ in lines if status != b"100"]

    return send


def test_every_message_of_the_collections_has_its_verdict():
    """RFC 4475 §3, RFC 5118 §4."""
    names = {path.stem for path in FOLDER.glob("rfc*/*.dat")}
    assert len(names) == 61
    assert names == {*REQUESTS, *REFUSED, *RESPONSES, *DROPPED}


@cases("name", REQUESTS)
def test_a_well_formed_request_is_read_and_passed_on_unchanged(name):
    """RFC 4475 §3.1.1, RFC 5118 §4: also what only an application may find fault with."""
    request = parse(octets(name))
    assert isinstance(request, Request)
    assert octets(name).startswith(request.encode())
    assert request.via.sent_by
    for field in set(request.names):
        request.values(field)


@pytest.mark.parametrize("name", REQUESTS)
def test_a_well_formed_request_is_answered(name, answers_to):
    """RFC 4475 §3.1.1 and §3.3, RFC 5118 §4."""
    (status,) = answers_to(octets(name))
    assert status in REQUESTS[name]


@cases("name", REFUSED)
def test_a_malformed_request_is_refused_by_the_parser(name):
    """RFC 4475 §3.1.2."""
    with pytest.raises(BadRequest) as caught:
        parse(octets(name))
    assert caught.value.status == REFUSED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_a_malformed_request_is_answered(name, answers_to):
    """RFC 4475 §3.1.2: also one with a Via of little more than sent-by."""
    assert answers_to(octets(name)) == [REFUSED[name]]


@pytest.mark.parametrize("name", RESPONSES)
def test_a_well_formed_response_is_read(name):
    """RFC 4475 §3.1.1.12, §3.1.1.13, §3.3.10."""
    response = parse(octets(name))
    assert isinstance(response, Response)
    assert response.status == RESPONSES[name]
    assert response.encode() == octets(name)


@pytest.mark.parametrize("name", DROPPED)
def test_a_response_out_of_bounds_is_dropped_by_the_parser(name):
    """RFC 4475 §3.1.2.5, §3.1.2.19."""
    with pytest.raises(BadMessage) as caught:
        parse(octets(name))
    assert caught.value.status is None


@pytest.mark.parametrize("name", [*RESPONSES, *DROPPED])
def test_an_unexpected_response_gets_no_answer(name, answers_to):
    """RFC 3261 §18.1.2; RFC 4475 §3.3.10: above all not to a broadcast address."""
    assert answers_to(octets(name)) == []


# What single messages are about


def test_white_space_and_folds_change_no_value():
    """RFC 4475 §3.1.1.1."""
    request = parse(octets("wsinv"))
    assert request.to.uri_text == "sip:vivekg@chair-dnrc.example.com"
    assert request.to.tag == "1918181833n"
    assert request.from_.display_name == 'J Rosenberg \\"'
    assert request.cseq == (9, "INVITE")
    vias = [parse_via(value) for value in request.values("via")]
    assert [(via.transport, via.sent_by) for via in vias] == [
        ("UDP", "192.0.2.2"),
        ("TCP", "spindle.example.com"),
        ("UDP", "192.168.255.111"),
    ]
    assert [via.branch for via in vias] == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]
    contact = parse_name_addr(request.values("contact")[0])
    assert contact.display_name == 'Quoted string ""'
    assert contact.params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert request.value("subject") == ""
    assert request.value("unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert len(request.body) == 150


def test_characters_that_seem_to_mean_something_stay_as_they_are():
    """RFC 4475 §3.1.1.2."""
    request = parse(octets("intmeth"))
    assert request.method == "!interesting-Method0123456789_*+`.%indeed'~"
    uri = request.uri
    assert isinstance(uri, SipUri)
    assert uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert uri.host == "example.com"
    assert request.via.branch == "z9hG4bK-.!%66*_+`'~"
    assert request.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert request.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert request.from_.params["fromparam''~+*_!.-%"] == "работающий"
    assert request.from_.tag == "_token~1'+`*%!-."
    assert request.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"


def test_escapes_are_undone_once_and_only_in_uris():
    """RFC 4475 §3.1.1.3."""
    request = parse(octets("esc01"))
    assert isinstance(request.uri, SipUri)
    assert request.uri.username == "sips:user@example.com"
    assert request.uri.host == "example.net"
    assert request.to.uri.equals(parse_uri("sip:user@example.com"))
    assert request.from_.sip_uri.username == "I have spaces"
    contact = parse_name_addr(request.values("contact")[0]).sip_uri
    assert contact.username == "caller"
    assert contact.param("lr") == ""
    assert contact.param("name") == "value%41"


def test_a_user_is_not_cut_off_at_an_escaped_null():
    """RFC 4475 §3.1.1.4: nor are two contacts taken for one."""
    request = parse(octets("escnull"))
    assert request.to.sip_uri.username == "null-\0-null"
    one, two = (parse_name_addr(value).uri for value in request.values("contact"))
    assert not one.equals(two)


def test_a_method_or_a_name_of_a_field_holds_no_escapes():
    """RFC 4475 §3.1.1.5."""
    request = parse(octets("esc02"))
    assert request.method == "RE%47IST%45R"
    assert request.to.display_name == "%Z%45"
    assert request.values("contact") == [
        "<sip:alias1@host1.example.com>",
        "<sip:alias3@host3.example.com>",
    ]


def test_a_second_message_in_a_datagram_is_noise():
    """RFC 4475 §3.1.1.8, RFC 3261 §18.3."""
    assert parse(octets("dblreq")).encode().count(b"joe@example.com") == 0


def test_a_body_with_empty_lines_and_nulls_stays_whole():
    """RFC 4475 §3.1.1.11."""
    message = parse(octets("mpart01"))
    assert len(message.body) == 553
    assert message.body.endswith(b"--7a9cbec02ceef655--\r\n")


def test_a_reason_phrase_may_be_in_any_language_or_missing():
    """RFC 4475 §3.1.1.12, §3.1.1.13."""
    unusual, empty = parse(octets("unreason")), parse(octets("noreason"))
    assert isinstance(unusual, Response)
    assert isinstance(empty, Response)
    assert unusual.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert empty.reason == ""


def test_of_fields_that_stand_there_once_an_answer_copies_one(answers_to, world):
    """RFC 4475 §3.3.8: an answer with two Call-IDs would torture the next."""
    answers_to(octets("multi01"))
    answer = parse(world.at[HOST, 5060].inbox[0])
    assert [answer.names.count(name) for name in ("call-id", "cseq", "from", "to")] == [1] * 4


def test_what_is_not_supported_is_listed(answers_to, world):
    """RFC 4475 §3.3.5: by the role in which it is answered."""
    answers_to(octets("bext01"))
    answer = parse(world.at[HOST, 5060].inbox[0])
    assert answer.values("unsupported") == ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]


def test_the_extra_colon_of_a_grammar_is_overlooked():
    """RFC 5118 §4.10."""
    liberal = parse(octets("ipv6-bug-abnf-3-colons"))
    exact = parse(octets("ipv6-correct-abnf-2-colons"))
    assert isinstance(liberal, Request)
    assert isinstance(exact, Request)
    assert liberal.uri.equals(exact.uri)


def test_a_port_within_the_brackets_is_part_of_the_address():
    """RFC 5118 §4.3, §4.4."""
    ambiguous, clear = parse(octets("port-ambiguous")), parse(octets("port-unambiguous"))
    assert isinstance(ambiguous, Request)
    assert isinstance(clear, Request)
    assert isinstance(ambiguous.uri, SipUri)
    assert isinstance(clear.uri, SipUri)
    assert (ambiguous.uri.host, ambiguous.uri.port) == ("2001:db8::10:5070", None)
    assert (clear.uri.host, clear.uri.port) == ("2001:db8::10", 5070)


def test_an_address_behind_received_may_stand_in_brackets():
    """RFC 5118 §4.5."""
    with_brackets = parse(octets("via-received-param-with-delim")).via
    without = parse(octets("via-received-param-no-delim")).via
    assert with_brackets.params["received"] == "[2001:db8::9:255]"
    assert without.params["received"] == "2001:db8::9:255"


# After authentication


def register_with_credentials(world: World, name: str, username: str) -> Response:
    request = parse(octets(name))
    assert isinstance(request, Request)
    phone = world.phone(username, registered=False)
    phone.transmits(request)
    # The answers go to the port that the Via names, from the address that asked.
    phone.transmits(phone.with_credentials(request, phone.gets(401)))
    answer = phone.takes()
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize(
    ("name", "username", "contacts"),
    [
        ("cparam01", "watson", ["<sip:+19725552222@gw1.example.net>"]),
        ("cparam02", "watson", ["<sip:+19725552222@gw1.example.net;unknownparam>"]),
        ("regescrt", "user", ["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"]),
        (
            "escnull",
            "null-\0-null",
            ["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"],
        ),
    ],
)
def test_a_contact_is_kept_as_it_was_written(world, name, username, contacts):
    """RFC 4475 §3.1.1.4, §3.3.12, §3.3.13, §3.3.14."""
    answer = register_with_credentials(world, name, username)
    assert answer.status == 200
    kept = [value.partition(";expires")[0] for value in answer.values("contact")]
    assert sorted(kept) == sorted(contacts)


def test_a_contact_that_needs_brackets_and_has_none_is_refused(world):
    """RFC 4475 §3.1.2.13."""
    assert register_with_credentials(world, "regbadct", "user").status == 400
    assert not world.bindings.rows


@pytest.mark.parametrize("name", ["escruri", "invut", "sdp01", "baddate", "longreq"])
def test_a_call_is_passed_on_with_all_that_a_proxy_need_not_read(world, name):
    """RFC 4475 §3.1.1.7, §3.1.2.11, §3.1.2.12, §3.3.6, §3.3.15: and without escaped headers."""
    callee = world.phone("user")
    sent = parse(octets(name))
    world.deliver(octets(name), (HOST, 5060))
    got = callee.gets("INVITE")
    assert got.uri_text == f"sip:user@{callee.address[0]}:5060"
    assert got.body == sent.body
    for field in ("date", "accept", "content-type", "contact"):
        assert got.fields(field) == sent.fields(field)
    assert got.values("via")[-1].startswith(sent.values("via")[-1])
