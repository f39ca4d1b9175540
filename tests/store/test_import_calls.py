"""Call settings in CSV files: imported, refused, and exported."""

import io

import pytest

from sip.store.call_changes import change_call_settings
from sip.store.call_settings import CallSettings
from sip.store.groups import Groups
from sip.store.importing import export_accounts, import_accounts
from sip.store.undo import Undo
from sip.store.users import Users

MAIN = "example.com"


def imports(users: Users, text: str, **options):
    return import_accounts(users, io.BytesIO(text.encode()), **options)


@pytest.fixture
def users(users: Users) -> Users:
    for name in ("alice", "bob"):
        users.add(name, "secret-1")
    return users


def test_an_export_is_imported_as_it_was(users: Users, database):
    """Names that a spreadsheet would read as formulas included."""
    settings = {"aliases": ["+4989101", "101"], "no_answer": "+49151", "no_answer_seconds": 30}
    change_call_settings(users, "alice", settings)
    change_call_settings(users, "bob", {"dnd": True, "offline": "sip:x@example.org"})
    for for_spreadsheet in (False, True):
        file = io.StringIO()
        export_accounts(users, file, with_hashes=True, for_spreadsheet=for_spreadsheet)
        report = imports(users, file.getvalue(), update=True)
        assert (report.same, report.changed, report.refused) == (2, 0, [])
    users.remove("alice")
    users.remove("bob")
    assert imports(users, file.getvalue()).new == 2
    for each in (users, Users(database, MAIN)):
        assert each.find("101", MAIN).call_settings == CallSettings(
            ("+4989101", "101"), no_answer="+49151", no_answer_seconds=30
        )
        assert each.find("bob", MAIN).call_settings.dnd


def test_a_row_changes_only_the_columns_that_it_fills(users: Users):
    change_call_settings(users, "alice", {"aliases": ["101"], "busy": "bob"})
    header = "username,aliases,dnd,forward_busy,forward_offline\n"
    row = "alice,,on,-,bob\n"
    (change,) = imports(users, header + row, update=True).changes
    assert change.fields == ("dnd", "forward_busy", "forward_offline")
    assert users.find("alice", MAIN).call_settings == CallSettings(
        ("101",), dnd=True, offline="bob"
    )
    report = imports(users, header + row)
    assert (report.same, report.refused) == (1, [])
    (refusal,) = imports(users, "username,aliases\nalice,-\n").refused
    assert refusal.reason == "alice already has an account, and this row would change it: aliases"


def test_an_import_of_passwords_keeps_the_settings(users: Users):
    change_call_settings(users, "alice", {"aliases": ["101"]})
    imports(users, "username,password\nalice,another-1\n", update=True)
    assert users.find("101", MAIN).username == "alice"


def test_an_alias_may_go_from_one_user_to_another(users: Users):
    change_call_settings(users, "alice", {"aliases": ["101"]})
    imports(users, "username,aliases\nbob,101\nalice,102\n", update=True)
    assert users.find("101", MAIN).username == "bob"
    assert users.find("102", MAIN).username == "alice"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("carl,secret-1,ALICE", "carl is refused: the alias ALICE is the user alice"),
        ("carl,secret-1,201", "carl is refused: the alias 201 is an alias of bob"),
        ("carl,secret-1,sales", "carl is refused: the alias sales is the group sales"),
        ("201,secret-1,", "201 is an alias of bob"),
        ("sales,secret-1,", "sales is the group sales"),
        ("carl,secret-1,7\ndan,secret-1,7", "dan is refused: the alias 7 is an alias of carl"),
        ("carl,secret-1,dan\ndan,secret-1,", "dan is an alias of carl"),
        ("dan,secret-1,\ncarl,secret-1,dan", "carl is refused: the alias dan is the user dan"),
        ("carl,secret-1,carl", "carl is refused: the alias carl is the user carl"),
        ("carl,secret-1,2-01", "carl is refused: the alias 2-01 is an alias of bob"),
        ("carl,secret-1,7\ndan,secret-1,(7)", "dan is refused: the alias (7) is an alias of carl"),
        ("30.1,secret-1,", "30.1 is the group 3-01"),
        ("8-1,secret-1,\ncarl,secret-1,81", "carl is refused: the alias 81 is the user 8-1"),
        ("81,secret-1,\ncarl,secret-1,8-1", "carl is refused: the alias 8-1 is the user 81"),
        ("carl,secret-1,81\n8-1,secret-1,", "8-1 is an alias of carl"),
    ],
)
def test_a_taken_name_is_refused(users: Users, rows: str, reason: str):
    change_call_settings(users, "bob", {"aliases": ["201"]})
    Groups(users).add("sales", ["bob"])
    Groups(users).add("3-01", ["bob"])
    (refusal,) = imports(users, f"username,password,aliases\n{rows}\n").refused
    assert refusal.reason == reason
    assert len(users) == 2


def test_an_alias_may_be_neither_spelling_of_a_user(users: Users):
    """Users that were there before the file; an own number in another spelling is no conflict."""
    for name in ("8-1", "92"):
        users.add(name, "secret-1")
    table = "username,aliases\nalice,81\nbob,9-2\n8-1,81\n"
    report = imports(users, table, update=True)
    assert [each.reason for each in report.refused] == [
        "alice is refused: the alias 81 is the user 8-1",
        "bob is refused: the alias 9-2 is the user 92",
    ] + ["8-1 is refused: the alias 81 is an alias of alice"] * 0


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("dnd", "maybe", "must be on or off"),
        ("forward_always", "a b", "is not a name"),
        ("forward_always", "bob", "bob cannot forward to itself"),
        ("forward_no_answer_seconds", "1", "from 3 to 120"),
        ("aliases", "<x>", "cannot be the alias"),
    ],
)
def test_a_bad_cell_is_refused(users: Users, column: str, cell: str, reason: str):
    (refusal,) = imports(users, f"username,{column}\nbob,{cell}\n", update=True).refused
    assert reason in refusal.reason


def test_undo_gives_changed_settings_back(users: Users):
    """Also an alias that went from one user to another; those of new users are removed."""
    change_call_settings(users, "alice", {"aliases": ["101", "102"], "busy": "bob"})
    before = users.find("alice", MAIN).call_settings
    table = "username,password,aliases,dnd\nalice,,102,on\nbob,,101,\ncarol,secret-1,103,on\n"
    report = imports(users, table, update=True)
    assert (report.changed, report.new, report.refused) == (2, 1, [])
    assert users.find("101", MAIN).username == "bob"
    undone = Undo(users).undo(report.undo_step)
    assert (undone.undone, undone.kept) == (3, 0)
    assert users.find("103", MAIN) is None
    for each in (users, Users(users.database, MAIN)):
        assert each.find("101", MAIN).username == "alice"
        assert each.find("alice", MAIN).call_settings == before
        assert each.find("bob", MAIN).call_settings is None
    change_call_settings(users, "bob", {"aliases": ["103"]})


def test_undo_keeps_settings_that_changed_later(users: Users):
    report = imports(
        users,
        "username,password,aliases,dnd\nalice,,101,\nbob,,,on\ncarol,secret-1,103,\n",
        update=True,
    )
    change_call_settings(users, "bob", {"dnd": False})
    change_call_settings(users, "carol", {"busy": "bob"})
    undone = Undo(users).undo(report.undo_step)
    assert (undone.undone, undone.kept_names) == (1, ["bob", "carol"])
    assert users.find("alice", MAIN).call_settings is None
    assert users.find("103", MAIN).call_settings.busy == "bob"


def test_undo_leaves_an_alias_that_is_taken_since(users: Users):
    change_call_settings(users, "alice", {"aliases": ["101", "102"], "busy": "bob"})
    report = imports(users, "username,aliases,forward_busy\nalice,-,-\n", update=True)
    change_call_settings(users, "bob", {"aliases": ["102"]})
    assert Undo(users).undo(report.undo_step).undone == 1
    assert users.find("alice", MAIN).call_settings == CallSettings(("101",), busy="bob")


def test_undo_compares_spellings_of_aliases(users: Users):
    change_call_settings(users, "alice", {"aliases": ["1-01", "102", "103"]})
    report = imports(users, "username,aliases\nalice,-\n", update=True)
    change_call_settings(users, "bob", {"aliases": ["101", "10-2"]})
    Undo(users).undo(report.undo_step)
    assert users.find("alice", MAIN).call_settings == CallSettings(("103",))
    assert users.find("102", MAIN).username == "bob"
