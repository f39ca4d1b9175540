"""The audit: it has an entry for every act of the pages, and no secrets."""

from sip.store.audit import PAGE_SIZE, Act
from sip.store.database import DatabaseError
from tests.support.cases import cases
from tests.support.import_page import ROWS, settled
from tests.support.wsgi_browser import Browser
from tests.webadmin.conftest import REALM
from webadmin.sign_in_limits import MAX_TRIES


def acts(context) -> list[tuple[str, str]]:
    """Return act and details of all entries, oldest first, without the sign-in."""
    entries = context.audit.entries()[::-1]
    return [(entry.act, entry.about) for entry in entries if entry.act != Act.SIGNED_IN]


def test_a_sign_in_is_there_with_its_address_and_its_browser(browser, context):
    browser.post("/logout")
    signed_out, signed_in = context.audit.entries()
    assert (signed_in.act, signed_in.about) == (Act.SIGNED_IN, "unknown browser")
    assert (signed_out.act, signed_out.who) == (Act.SIGNED_OUT, "admin")
    assert signed_in.address == signed_out.address == "192.0.2.7"
    assert signed_in.at == context.clock()


def test_a_wrong_password_is_there_but_nothing_that_was_typed(stranger, context, caplog):
    """People type their password where the name belongs."""
    for name, password in (("admin", "typo-4711"), ("secret-4711", "admin")):
        stranger.post("/login", username=name, password=password)
    wrong_name, wrong_password = context.audit.entries()
    assert (wrong_password.who, wrong_password.about) == ("", "wrong password of admin")
    assert (wrong_name.who, wrong_name.about) == ("", "wrong name")
    assert wrong_name.address == "192.0.2.7"
    kept = repr(context.audit.entries()) + caplog.text
    assert "4711" not in kept


def test_guesses_that_are_not_looked_at_fill_no_audit(stranger, context):
    for _ in range(MAX_TRIES + 5):
        stranger.post("/login", username="admin", password="guess")
    refused = context.audit.entries()
    assert len(refused) == MAX_TRIES
    assert refused[0].about == "wrong password of admin, no further tries for a while"
    assert refused[1].about == "wrong password of admin"


def test_every_change_of_a_user_is_there(browser, context, bound):
    browser.post("/users/new", username="alice", password="secret-1", how="type")
    browser.post("/users/1/name", display_name="Alice")
    browser.post("/users/1/password", password="secret-2", how="type")
    browser.post("/users/1/disable")
    browser.post("/users/1/enable")
    bound(context.users.find("alice", REALM))
    (phone,) = context.directory.entry(1).contacts
    browser.post("/users/1/drop", contact=phone.key)
    browser.post("/users/1/drop", contact="none")
    browser.get("/users/1/hashes")
    browser.post("/users/1/remove")
    browser.post("/users/1/restore")
    assert acts(context) == [
        (Act.USER_ADDED, "alice"),
        (Act.USER_RENAMED, "alice"),
        (Act.USER_PASSWORD, "alice"),
        (Act.USER_DISABLED, "alice"),
        (Act.USER_ENABLED, "alice"),
        (Act.PHONE_DROPPED, "alice"),
        (Act.HASHES_SHOWN, "alice"),
        (Act.USER_DELETED, "alice"),
        (Act.USER_RESTORED, "alice"),
    ]
    assert "secret" not in browser.get("/audit").text


def test_a_user_of_another_realm_is_called_by_it(browser, context):
    browser.post("/users/new", username="alice", password="s", how="type", realm="branch.example")
    assert acts(context) == [(Act.USER_ADDED, "alice@branch.example")]


def test_a_refused_action_has_no_entry(browser, context):
    browser.post("/users/new", username="a b", password="secret-1", how="type")
    browser.post("/users/1/remove")
    browser.post("/users/1/password", password="x", how="type")
    browser.get("/users/1/hashes")
    assert acts(context) == []


def test_an_import_is_recorded_with_its_actor_when_applied(browser, context):
    browser.upload("/users/import", ROWS)
    settled(browser)
    assert acts(context) == [], "it was only looked at"
    browser.press("apply")
    settled(browser)
    (entry,) = [entry for entry in context.audit.entries() if entry.act == Act.IMPORTED]
    new = len(ROWS.splitlines()) - 1
    assert entry.about == f"{new} new, 0 changed"
    assert (entry.who, entry.address) == ("admin", "192.0.2.7")


def test_an_export_says_whether_it_held_the_secrets(browser, context):
    browser.get("/users/export.csv")
    browser.get("/users/export.csv?hashes=yes")
    assert acts(context) == [(Act.EXPORTED, "without HA1s"), (Act.EXPORTED, "with HA1s")]


def test_a_failed_audit_write_is_logged_and_the_page_works(browser, context, monkeypatch, caplog):
    """The act was done, even though the disk is full."""

    def fails(*_):
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(context.audit, "add", fails)
    answer = browser.post("/users/new", username="alice", password="secret-1", how="type")
    assert (answer.status, len(context.users)) == (303, 1)
    assert "cannot write audit entry: the disk is full" in caplog.text


def test_the_page_shows_it_and_leads_on_to_what_is_older(browser, context):
    for number in range(PAGE_SIZE + 5):
        context.audit.add(Act.USER_ADDED, "admin", about=f"user-{number}-")
    page = browser.get("/audit")
    assert f"user-{PAGE_SIZE + 4}-" in page.words
    assert "user-4-" not in page.words
    older = page.text.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    rest = browser.get(older.replace("&amp;", "&"))
    assert "user-4-" in rest.words
    assert "Newest" in rest.words
    assert "Older" not in rest.words


def test_one_kind_is_shown_alone_and_stays_so_from_page_to_page(browser, context):
    for number in range(PAGE_SIZE + 5):
        context.audit.add(Act.EXPORTED, "admin", about=f"file-{number}-")
    page = browser.get("/audit?kind=files")
    assert "signed in" not in page.words
    assert "kind=files&amp;before=" in page.text
    assert "No entries match." in browser.get("/audit?kind=users").words


@cases("asked", ["before=x", "before=-1", "before=" + "9" * 30, "before=%D9%A1", "kind=%3Cb%3E"])
def test_invalid_query_parameters_are_ignored(browser, asked):
    answer = browser.get(f"/audit?{asked}")
    assert answer.status == 200
    assert "signed in" in answer.words
    assert "<b>" not in answer.text


def test_a_stranger_does_not_read_it(stranger):
    assert Browser(stranger.app).get("/audit").location == "/login?next=/audit"
