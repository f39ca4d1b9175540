"""The texts of the audit in the language of the reader."""

import pytest

from sip.store.audit import Act
from tests.support.cases import cases
from webadmin.audit_text import actor_text, details_text
from webadmin.language import in_language


@pytest.fixture
def in_german():
    """Call a function as a request of a German browser would."""

    def call(function, *arguments):
        found = []
        app = in_language(lambda *_: found.append(function(*arguments)) or [], ("/api",))
        app({"HTTP_ACCEPT_LANGUAGE": "de", "PATH_INFO": "/audit"}, lambda *_: None)
        return found[0]

    return call


DETAILS = [
    (Act.SIGNED_IN, "Chrome 156 on Linux", "Chrome 156 auf Linux"),
    (Act.SIGN_IN_REFUSED, "wrong name", "falscher Name"),
    (
        Act.SIGN_IN_REFUSED,
        "wrong password of admin, no further tries for a while",
        "falsches Passwort für admin, vorerst keine weiteren Versuche",
    ),
    (Act.USERS_DELETED, "2 users: alice, bob", "2 Benutzer: alice, bob"),
    (Act.USERS_DELETED, "12,000 users", "12.000 Benutzer"),
    (Act.USERS_UNDONE, "users deleted, 1 user: bob", "mehrere Benutzer gelöscht, 1 Benutzer: bob"),
    (
        Act.USERS_UNDONE,
        "users disabled, no user: the server ended before it was finished",
        "mehrere Benutzer deaktiviert, kein Benutzer: der Server endete, bevor sie fertig war",
    ),
    (Act.IMPORTED, "65 new, 0 changed", "65 neu, 0 geändert"),
    (Act.CALL_HUNG_UP, "carol to bob", "carol an bob"),
    (Act.USER_CALLS, "bob, on /me: always sales", "bob, auf /me: always sales"),
    (Act.USER_ADDED, "no user", "no user"),  # a name, whatever it says
    (Act.USERS_UNDONE, "an act of another version, bob", "an act of another version, bob"),
]


@cases(("act", "about", "german"), DETAILS)
def test_details_are_in_the_language_of_the_reader(in_german, act, about, german):
    assert details_text(act, about) == about
    assert in_german(details_text, act, about) == german


def test_an_actor_that_is_no_administrator_is_named_in_words(in_german):
    assert in_german(actor_text, "the server") == "der Server"
    assert in_german(actor_text, "root (command line)") == "root (Befehlszeile)"
    assert in_german(actor_text, "admin") == "admin"
    assert actor_text("", "bob, on /me: dnd on") == "bob", "a user that is signed in at /me"
    assert actor_text("", "wrong name") == ""
