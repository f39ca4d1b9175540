"""The page that sets up a phone: the password once, and the state of the phone."""

import pytest

from sip.monitor.events import Refused, Registered, Sender
from sip.store.bindings import BindingRow, BindingStore
from webadmin.phone_setup import PhoneChanges, SetupPage, waiting

FLOW = "UDP/192.0.2.1:5060/192.168.1.30:61000"


@pytest.fixture
def alice(context):
    return context.users.add("alice", "secret")


@pytest.fixture
def registers(context, clock, alice):
    store = BindingStore(context.users.database, window=0)

    def register() -> None:
        context.refusals.clear_refused("alice", "192.168.1.30")
        row = BindingRow(
            user_id=alice.id,
            aor="alice@example.com",
            contact="sip:alice@192.168.1.30",
            expires_at=int(clock.now) + 600,
            updated_at=int(clock.now),
            user_agent="baresip",
            flow=FLOW,
        )
        store.save([row], [], lambda: None, int(clock.now)).wait()

    yield register
    store.close()


def refused(clock, cause="wrong password for alice", code="wrong_password"):
    return Refused(
        at=clock.now,
        sender=Sender.USER,
        method="REGISTER",
        status=401,
        cause=cause,
        cure="Enter the password on the phone again.",
        username="alice",
        realm="example.com",
        user="alice",
        to="",
        address=("192.168.1.30", 5060),
        network="192.168.1.30",
        transport="UDP",
        device="baresip",
        call_id="1",
        from_tag="",
        code=code,
    )


def test_the_password_is_shown_once_and_never_compressed(browser):
    answer = browser.post("/users/new", username="101", how="make")
    head = browser.send("HEAD", answer.location, b"", {})
    part = browser.get(answer.location, HX_Request="true")
    assert "shown only now" not in part.words
    page = browser.get(answer.location, **{"Accept-Encoding": "gzip"})
    assert head.status == page.status == 200
    assert "101 was added. This password is shown only now:" in page.words
    assert page.headers["cache-control"] == "no-store, no-transform"
    assert "content-encoding" not in page.headers
    assert 'http-equiv="refresh"' not in page.text, "it would take the password away"
    again = browser.get(answer.location)
    assert "shown only now" not in again.text
    assert 'http-equiv="refresh"' in again.text


def test_a_typed_password_is_not_on_the_page(browser):
    answer = browser.post("/users/new", username="101", how="type", password="x7-typed-x7")
    page = browser.get(answer.location)
    assert "the password that you typed" in page.words
    assert "x7-typed-x7" not in page.text


def test_the_phone_turns_from_waiting_to_registered(browser, clock, context, alice, registers):
    path = f"/users/{alice.id}/setup?since={int(clock.now)}"
    assert "Waiting for the phone …" in browser.get(path).words
    context.refusals.add(refused(clock))
    page = browser.get(path).words
    assert "Wrong password, type it again" in page
    assert "Enter the password on the phone again. baresip at 192.168.1.30." in page
    clock.now += 0.4
    registers()
    assert "Registered: baresip, 192.168.1.30" in browser.get(path).words


def test_a_registration_before_does_not_count(browser, clock, context, alice, registers):
    registers()
    context.refusals.add(refused(clock))
    clock.now += 5
    entry = context.directory.entry(alice.id)
    rows = context.refusals.of_user("alice", "alice", "example.com")
    assert waiting(context, entry, rows, int(clock.now)).pill == "ring"


def test_other_refusals_are_told_in_their_own_words(browser, clock, context, alice):
    context.refusals.add(refused(clock, cause="the realm is wrong", code="other"))
    page = browser.get(f"/users/{alice.id}/setup").words
    assert "The realm is wrong" in page
    assert "type it again" not in page


def test_a_stream_reports_changes_of_its_user_alone(clock, context, alice):
    bus = context.bus
    changes = PhoneChanges(bus, context.directory.entry(alice.id))
    event = (clock.now, alice.id, "alice", "example.com", "sip:a", "baresip")
    rest = (("192.168.1.30", 5060), "UDP", False, clock.now + 60, False)
    bus.publish(Registered(*event, *rest))
    bus.publish(Registered(event[0], alice.id + 1, *event[2:], *rest))
    bus.publish(refused(clock))
    assert changes.count == 2
    changes.close()
    bus.publish(Registered(*event, *rest))
    assert changes.count == 2
    assert not bus.has_listener(Registered) or context.lost_phones


def test_a_stream_that_was_closed_listens_no_more(context, alice):
    page = SetupPage(context)
    entry = context.directory.entry(alice.id)
    before = context.bus.topic(Registered).listeners
    events = page._events(entry, 1, "token")
    assert "changed" in next(events)
    assert len(context.bus.topic(Registered).listeners) == len(before) + 1
    events.close()
    assert context.bus.topic(Registered).listeners == before


def test_an_unknown_user_has_no_setup(browser):
    assert browser.get("/users/9/setup").status == 404
    assert browser.post("/users/9/setup/link").status == 404
    assert browser.get("/users/9/setup?since=9999999999999999").status == 404


@pytest.mark.usefixtures("alice")
def test_a_viewer_sees_no_button_for_a_qr_code(browser, viewer):
    for each in (browser, viewer):
        each.address = "127.0.0.1"
    button = ">Make a QR code</button>"
    assert button in browser.get("/users/1/setup", X_FORWARDED_PROTO="https").text
    assert button not in viewer.get("/users/1/setup", X_FORWARDED_PROTO="https").text
