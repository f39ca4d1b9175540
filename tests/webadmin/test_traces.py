"""The pages of SIP messages, over HTTP without scripts."""

import html
import re

import pytest

from sip.monitor.events import AdminActed, MessagePassed
from sip.monitor.trace_ladder import MAX_ROWS
from sip.monitor.traces import Traces
from sip.store.audit import Act
from tests.support.cases import cases
from webadmin.traces import FOLLOWED_SECONDS, PAGE_SIZE, trace_path

SERVER, ALICE, BOB = ("192.0.2.1", 5060), ("192.0.2.10", 5060), ("192.0.2.20", 5060)
EVIL = "<script>alert(1)</script>'\"><img src=x onerror=alert(1)>{{7*7}}</pre></svg>"


@pytest.fixture
def passes(context, clock):
    """Let a message pass: `passes("in", "INVITE …", remote=ALICE)`."""
    context.traces = Traces(context.bus)

    def publish(direction: str, start: str, *fields: str, call_id="one", remote=ALICE, body=b""):
        people = "From: <sip:alice@example.com>;tag=a", "To: <sip:bob@example.com>"
        lines = [start, *people, *fields]
        octets = "\r\n".join(lines).encode()
        if call_id is not None:
            octets += b"\r\nCall-ID: " + (
                call_id if isinstance(call_id, bytes) else call_id.encode()
            )
        octets += b"\r\n\r\n" + body
        values = clock.now, direction, SERVER, remote, "UDP", octets
        context.bus.publish(MessagePassed(*values))

    return publish


@pytest.fixture
def call(passes):
    """A call that is busy, with credentials."""
    passes("in", "INVITE sip:bob@example.com SIP/2.0", 'Authorization: Digest response="SECRET"')
    passes("out", "INVITE sip:bob@192.0.2.20 SIP/2.0", "Via: a", remote=BOB)
    passes("in", "SIP/2.0 486 Busy Here", "CSeq: 1 INVITE", remote=BOB)
    passes("out", "SIP/2.0 486 Busy Here", "CSeq: 1 INVITE")


def test_a_stranger_is_sent_to_the_sign_in(stranger, call):
    for path in ("/traces", "/traces/one", "/traces/one.txt", "/traces/one.pcap"):
        answer = stranger.get(path)
        assert (answer.status, answer.body) == (303, b"")


def test_the_list_leads_to_each_ladder(browser, call):
    page = browser.get("/traces")
    assert "INVITE alice bob" in page.words
    assert "486 Busy Here" in page.words
    assert 'href="/traces/one"' in page.text
    assert "No message matches." in browser.get("/traces?q=nothing").words
    assert 'href="/traces/one"' in browser.get("/traces?q=BOB%40").text


def test_the_ladder_shows_the_last_failure_unasked(browser, call):
    page = browser.get("/traces/one")
    assert page.status == 200
    assert re.search(r'id="m4"[^>]*aria-current="true"', page.text)
    assert "bob at 192.0.2.20:5060 is busy." in page.words
    assert "INVITE, alice to sipserver, +0 ms" in html.unescape(page.text)


def test_a_link_chooses_the_message(browser, call):
    page = browser.get("/traces/one?m=2")
    assert "INVITE sip:bob@192.0.2.20 SIP/2.0" in page.words
    assert "<b>Via</b>: a" in page.text
    assert "INVITE sip:bob@192.0.2.20" not in browser.get("/traces/one?m=1").words


@pytest.mark.parametrize("query", ["compare=1,2", "m=1&with=2"])
def test_two_messages_are_compared_line_by_line(browser, call, query):
    page = browser.get(f"/traces/one?{query}").text
    differing = [
        html.unescape(re.sub("<[^>]*>", "", line))
        for line in re.findall(r'<span class="differs">(.*?)</span>', page)
    ]
    assert differing == [
        "INVITE sip:bob@example.com SIP/2.0",
        'Authorization: Digest response="redacted"',
        "INVITE sip:bob@192.0.2.20 SIP/2.0",
        "Via: a",
    ]


def test_credentials_are_shown_when_asked_and_audited_once(browser, call, context):
    acts = context.bus.read(AdminActed)
    for path in ("/traces/one?m=1", "/traces/one.txt", "/traces/one.pcap"):
        assert b"SECRET" not in browser.get(path).body
    assert acts.take() == []
    for path in ("/traces/one", "/traces/one.txt", "/traces/one.pcap"):
        answer = browser.get(f"{path}?secrets=true&m=1")
        assert b"SECRET" in answer.body
        assert "no-transform" in answer.headers["cache-control"]
    (act,) = acts.take()
    assert (act.act, act.about) == (Act.CREDENTIALS_SHOWN, "messages of one")
    shown = browser.get("/traces/one?secrets=true").text
    assert "/traces/one.pcap?secrets=true" in shown
    assert "hx-trigger" not in shown, "it is not loaded again and again"


def test_files_have_a_name_that_every_system_takes(browser, passes):
    passes("in", "INVITE sip:b SIP/2.0", call_id="../a b\"'\u00e9@192.0.2.1")
    path = trace_path("../a b\"'\u00e9@192.0.2.1".encode(), ".pcap")
    answer = browser.get(path)
    assert answer.status == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="a_b_192.0.2.1.pcap"'
    assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
    text = browser.get(trace_path("../a b\"'\u00e9@192.0.2.1".encode(), ".txt"))
    assert text.headers["content-type"] == "text/plain; charset=UTF-8"


@pytest.mark.parametrize(
    "call_id",
    [
        b"a/b", b"a%2Fb", b"a?b#c&d=e", b"+a b", b".", b"..", b"a.txt", b"a.pcap", b"\xff\xfe",
        b"%", b"a\x00b", b"//evil.example", b"\\", "\u202eabc".encode(), EVIL.encode(), b"x" * 4000,
    ],
)  # fmt: skip
def test_a_call_id_of_any_octets_has_its_pages(browser, passes, call_id):
    passes("in", "OPTIONS sip:b@example.com SIP/2.0", call_id=call_id)
    passes("in", "OPTIONS sip:b@example.com SIP/2.0", "X: y", call_id=call_id)
    listed = re.search(r'<a href="(/traces[^"]+)" aria-label="Ladder', browser.get("/traces").text)
    path = html.unescape(listed[1])
    assert path == trace_path(call_id)
    assert not path.endswith(("/.", "/..")), "a browser would resolve them"
    page = browser.get(path)
    assert page.status == 200
    assert "2 messages" in page.words
    assert "<script>alert" not in page.text
    for link in set(re.findall(r'href="(/traces[^"]*)"', page.text)):
        answer = browser.get(html.unescape(link))
        assert answer.status == 200, link
        assert b"OPTIONS" in answer.body


def test_messages_without_call_id_have_a_page(browser, passes):
    passes("in", "OPTIONS sip:b@example.com SIP/2.0", call_id=None)
    page = browser.get("/traces?call_id=")
    assert page.status == 200
    assert "missing: all messages without one" in page.words


def test_a_call_that_ends_like_a_file_shadows_no_file(browser, call, passes):
    """Anyone can send a message with the Call-ID `one.pcap`."""
    passes("in", "OPTIONS sip:b@example.com SIP/2.0", call_id="one.pcap")
    assert browser.get("/traces/one.pcap").headers["content-type"] == "application/vnd.tcpdump.pcap"
    passes("in", "OPTIONS sip:b@example.com SIP/2.0", call_id="two.pcap")
    assert "OPTIONS" in browser.get("/traces/two.pcap").words, "other pages link to it like this"


@cases(
    "query",
    ["m=0", "m=99", "m=x", "m=-1", "compare=1,1,1", "compare=,", "from=200", "from=9999999999",
     "m=%FF", "compare=2", "with=3", "secrets=1", "seen=2", "format=exe"],
)  # fmt: skip
def test_odd_wishes_give_the_page_as_it_is(browser, call, query):
    assert browser.get(f"/traces/one?{query}").status == 200


def test_an_unknown_call_id_is_said_so(browser, context):
    answer = browser.get("/traces/unknown", Accept="text/html")
    assert answer.status == 404
    assert "No messages with this Call-ID are in memory." in answer.words
    context.traces = Traces(context.bus, 0)
    answer = browser.get("/traces/unknown", Accept="text/html")
    assert "No messages are kept: -trace.memory is 0." in answer.words
    assert "-trace.memory is 0" in browser.get("/traces").words.replace("  ", " ")


def test_a_running_call_is_followed_and_an_old_one_is_not(browser, call, clock):
    page = browser.get("/traces/one").text
    poll = html.unescape(re.search(r'<div id="trace" hx-get="([^"]+)"', page)[1])
    assert '<noscript><meta http-equiv="refresh"' in page
    answer = browser.get(poll, HX_Request="true")
    assert (answer.status, answer.body) == (204, b"")
    clock.now += FOLLOWED_SECONDS + 1
    page = browser.get("/traces/one").text
    assert "hx-trigger" not in page
    assert "http-equiv" not in page


def test_what_is_new_is_shown_to_a_page_that_follows(browser, call, passes):
    page = browser.get("/traces/one").text
    poll = html.unescape(re.search(r'<div id="trace" hx-get="([^"]+)"', page)[1])
    passes("in", "ACK sip:bob@example.com SIP/2.0")
    assert "ACK, alice to sipserver" in browser.get(poll, HX_Request="true").text


def test_markup_in_any_field_is_text(browser, passes):
    fields = f"User-Agent: {EVIL}", f"Server: {EVIL}", f"{EVIL}: {EVIL}", f'From: "{EVIL}"'
    passes("in", f"{EVIL} sip:b SIP/2.0", *fields, body=EVIL.encode())
    passes("in", f"SIP/2.0 486 {EVIL}", f'Warning: 399 x "{EVIL}"', *fields, body=EVIL.encode())
    passes("in", f"INVITE sip:{EVIL} SIP/2.0", *fields)
    for path in ("/traces", *(f"/traces/one?m={number}" for number in (1, 2, 3)), "/traces/one"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "<img" not in page.replace('<img src="/static/', "")
        assert path == "/traces" or "{{7*7}}" in html.unescape(page)


def test_a_long_ladder_is_shown_in_parts(browser, passes):
    for number in range(MAX_ROWS + 5):
        passes("in", "INFO sip:bob@example.com SIP/2.0", f"CSeq: {number} INFO")
    page = browser.get("/traces/one")
    assert page.text.count('<a class="rung"') == MAX_ROWS
    assert f"{MAX_ROWS + 1} to {MAX_ROWS + 5}" in page.words
    rest = browser.get(f"/traces/one?from={MAX_ROWS}")
    assert rest.text.count('<a class="rung"') == 5
    assert f'href="/traces/one?from={MAX_ROWS}&amp;m={MAX_ROWS + 2}"' in rest.text


def test_a_long_list_is_shown_in_pages(browser, passes):
    for number in range(PAGE_SIZE + 3):
        passes("in", "OPTIONS sip:bob@example.com SIP/2.0", call_id=f"call-{number}")
    first, second = browser.get("/traces?q=bob"), browser.get("/traces?q=bob&page=2")
    assert first.text.count('">Ladder</a>') == PAGE_SIZE
    assert 'href="/traces?q=bob&amp;page=2"' in first.text
    assert second.text.count('">Ladder</a>') == 3


def test_a_user_can_be_pinned_and_unpinned(browser, call, context):
    answer = browser.post("/traces/pin", username="alice", back="/traces/one?m=1")
    assert answer.location == "/traces/one?m=1"
    assert "Messages of alice are now kept longer" in browser.get(answer.location).words
    assert context.traces.pinned == "alice"
    assert "Messages of alice are kept longer." in browser.get("/traces").words
    browser.post("/traces/pin", username="", back="/traces")
    assert context.traces.pinned == ""


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/traces\\..", "", "x"])
def test_a_pin_leads_only_to_pages_of_this_server(browser, call, back):
    answer = browser.post("/traces/pin", username="alice", back=back)
    assert answer.location == "/traces"


def test_a_user_is_pinned_on_its_own_page(browser, context):
    """Also before a message of it is in memory."""
    number = context.users.add("carol", "secret").id
    assert "Messages kept like all others Keep longer" in browser.get(f"/users/{number}").words
    fields = {"username": "carol", "back": f"/users/{number}"}
    assert browser.post("/traces/pin", **fields).location == f"/users/{number}"
    assert context.traces.pinned == "carol"
    assert "Messages kept longer Keep like others" in browser.get(f"/users/{number}").words
