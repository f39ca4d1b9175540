"""Operations on traces."""

from urllib.parse import quote

from sip.store.audit import Act
from tests.support.api_client import problem
from tests.support.filled_context import CALL_ID, SECRET

PATH = f"/traces/{quote(CALL_ID, safe='')}"


def test_a_trace_is_read_as_json_text_and_pcap(viewer, filled):
    filled.passes_message()
    (message,) = viewer.json(PATH)["messages"]
    text = message.pop("text")
    assert message == {
        "at": "2023-11-14T22:13:20.000Z",
        "direction": "in",
        "local": "192.0.2.1:5060",
        "remote": "192.0.2.10:5060",
        "transport": "UDP",
    }
    assert text.startswith("INVITE sip:bob@example.com SIP/2.0\r\n")
    drawn = viewer.get(f"{PATH}.txt")
    assert drawn.headers["content-type"] == "text/plain; charset=utf-8"
    assert "INVITE sip:bob@example.com" in drawn.text
    pcap = viewer.get(f"{PATH}.pcap")
    assert pcap.headers["content-type"] == "application/vnd.tcpdump.pcap"
    assert pcap.body[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1")
    assert not any(SECRET.encode() in each for each in (text.encode(), drawn.body, pcap.body))


def test_credentials_are_for_admins_and_audited_once(api, viewer, filled, context):
    filled.passes_message()
    for ending in ("", ".txt", ".pcap"):
        path = f"{PATH}{ending}?secrets=true"
        answer = api.get(path)
        assert SECRET.encode() in answer.body
        assert "no-transform" in answer.headers["cache-control"]
        assert problem(viewer.get(path))["status"] == 403
    entries = [entry for entry in context.audit.entries() if entry.act == Act.CREDENTIALS_SHOWN]
    assert [(entry.who, entry.about) for entry in entries] == [
        ("token api", f"messages of {CALL_ID}")
    ]


def test_a_call_id_without_messages_is_404(api, filled):
    filled.passes_message("two.txt")
    for path in ("/traces/none", "/traces/none.txt", "/traces/none.pcap?secrets=true"):
        assert problem(api.get(path))["status"] == 404
    assert api.get("/traces/two.txt.txt").status == 200
