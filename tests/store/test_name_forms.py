"""Names and passwords in Unicode forms, and numbers with separators (RFC 7616 §4, RFC 3966)."""

import hashlib
import io
import sqlite3
import unicodedata
from contextlib import closing

import pytest

from sip.store.accounts import Account, AccountTable, full_name, normalized
from sip.store.directory import Directory, Question
from sip.store.importing import exported, import_accounts
from sip.store.users import UserExists, Users

MAIN = "example.com"
NFC, NFD = "J\u00f6rg", "Jo\u0308rg"
MIXED = "e\u0302\u0301\u00f6", "\u00ea\u0301o\u0308"  # of one name, neither of them NFC or NFD
SECRET_NFC, SECRET_NFD = "gr\u00fcn", "gru\u0308n"


def ha1(username: str, password: str, realm: str = MAIN) -> str:
    return hashlib.md5(f"{username}:{realm}:{password}".encode()).hexdigest()


def stored(users: Users, path: str, username: str, password: str, display_name: str = "") -> None:
    """An account as an earlier version took it: in whichever form it was typed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO users (username, display_name, ha1_md5, ha1_realm, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, 5, 6)",
            (username, display_name, ha1(username, password), MAIN),
        )
    users.reload()


def names(users: Users) -> list[str]:
    return [account.username for account in users.list()]


def take(users: Users, *rows: str, header: str = "username,password", **options):
    octets = "\n".join((header, *rows)).encode()
    return import_accounts(users, io.BytesIO(octets), **options)


# One name


def test_a_name_and_a_password_are_kept_in_nfc(users):
    """RFC 7616 §4: so a client that follows it computes the same HA1."""
    users.add(NFD, SECRET_NFD, display_name=NFD)
    account = users.find(NFC, MAIN)
    assert (account.username, account.display_name) == (NFC, NFC)
    assert account.ha1_md5 == ha1(NFC, SECRET_NFC)
    users.set_password(NFD, "\u212bngstr\u00f6m")
    assert users.find(NFC, MAIN).ha1_md5 == ha1(NFC, "\u00c5ngstr\u00f6m")
    assert users.find(NFD, MAIN) is users.find(NFC, MAIN)


@pytest.mark.parametrize("typed", [NFC, NFD])
@pytest.mark.parametrize("kept", [NFC, NFD])
def test_an_account_is_found_in_either_form(users, path, kept: str, typed: str):
    """By each operation on the account."""
    stored(users, path, kept, "secret")
    users.disable(typed)
    assert not users.find(kept, MAIN).enabled
    users.enable(typed)
    users.set_display_name(typed, NFD)
    assert users.find(kept, MAIN).display_name == NFC
    users.remove(typed)
    assert names(users) == []


@pytest.mark.parametrize("kept", [NFD, *MIXED])
def test_an_account_of_an_earlier_version_keeps_its_form(users, path, kept: str):
    """Its phone computes its digests with that form, and goes on with a new password too."""
    stored(users, path, kept, SECRET_NFD)
    assert users.find(kept, MAIN).ha1_md5 == ha1(kept, SECRET_NFD)
    users.set_password(normalized(kept), SECRET_NFD)
    assert users.find(kept, MAIN).ha1_md5 == ha1(kept, SECRET_NFC)
    assert names(users) == [kept]


@pytest.mark.parametrize("kept", [NFC, NFD, *MIXED])
def test_a_clash_with_another_form_is_reported(users, path, kept: str):
    """Two accounts for what looks like one name would be a trap."""
    stored(users, path, kept, "secret")
    for typed in (normalized(kept), unicodedata.normalize("NFD", kept), kept):
        with pytest.raises(UserExists, match="already has an account"):
            users.add(typed, "other")
    assert names(users) == [kept]


@pytest.mark.parametrize("kept", [NFC, NFD])
def test_a_clash_by_case_is_reported_in_either_form(users, path, kept: str):
    """The case of ASCII letters, as ever."""
    stored(users, path, kept, "secret")
    for typed in (NFC.lower(), NFD.lower()):
        with pytest.raises(UserExists, match="only in case"):
            users.add(typed, "other")


def test_a_removed_account_is_not_restored_into_a_clash(users, path):
    """Its name may have been taken meanwhile, in another form."""
    stored(users, path, NFD, "secret")
    number = users.find(NFD, MAIN).id
    users.remove(NFD)
    users.add(NFC, "other")
    with pytest.raises(UserExists, match="another Unicode form of the name"):
        users.restore(number)


def test_two_accounts_of_an_earlier_version_stay_two(users, path):
    """Each is known by exactly its own name, and can be removed by it."""
    stored(users, path, NFC, "one")
    stored(users, path, NFD, "other")
    assert users.find(NFC, MAIN).ha1_md5 == ha1(NFC, "one")
    assert users.find(NFD, MAIN).ha1_md5 == ha1(NFD, "other")
    users.remove(NFC)
    assert names(users) == [NFD]
    assert users.find(NFC, MAIN).username == NFD


# Import, export, search


def test_an_import_takes_names_and_passwords_in_nfc(users):
    """And finds them again in either form."""
    report = take(users, f"{NFD},{SECRET_NFD}")
    assert report.written
    assert users.find(NFC, MAIN).username == NFC
    assert users.find(NFC, MAIN).ha1_md5 == ha1(NFC, SECRET_NFC)
    for row in (f"{NFD},{SECRET_NFD}", f"{NFC},{SECRET_NFC}", f"{NFD},{SECRET_NFC}"):
        assert take(users, row).same == 1


@pytest.mark.parametrize("kept", [NFD, MIXED[1]])
def test_an_import_leaves_an_account_of_an_earlier_version_alone(users, path, kept: str):
    """The row keeps its form; a new password is hashed with the name as it is stored."""
    stored(users, path, kept, SECRET_NFD, display_name=NFD)
    text = "".join(exported(users, with_hashes=True))
    assert import_accounts(users, io.BytesIO(text.encode())).same == 1
    for typed in (kept, normalized(kept)):
        header = "username,password,display_name"
        before = users.find(kept, MAIN).ha1_md5
        report = take(users, f"{typed},{SECRET_NFD},{NFC}", header=header, update=True)
        assert report.refused == []
        assert users.find(kept, MAIN).ha1_md5 == before
    assert take(users, f"{normalized(kept)},new", update=True).changed == 1
    assert users.find(kept, MAIN).ha1_md5 == ha1(kept, "new")
    assert names(users) == [kept]


@pytest.mark.parametrize("others", [[], [NFC], [NFD]])
def test_an_import_tells_a_clash_of_two_rows(users, path, others: list[str]):
    """Whether or not one of them is there already.  One that asks for nothing else is no harm."""
    for kept in others:
        stored(users, path, kept, "secret")
    rows = "bob,x", f"{NFC},secret", f"{NFD},other", "Kate,x", "\u212aate,y"
    report = take(users, *rows, update=True)
    told = f"{NFC} is already on line 3, in another Unicode form"
    assert [line for line, _ in report.refused] == [4, 6]
    assert report.refused[0].reason == f"{told}, with other values"
    assert names(users) == others
    report = take(users, "bob,x", f"{NFC},secret", f"{NFD},secret", update=True)
    assert report.refused == []
    assert (4, told) in report.remarks
    assert len(names(users)) == 2


def test_a_generated_password_is_that_of_the_kept_form(users):
    """Else no phone could register with the name in the file."""
    report = take(users, NFD, header="username", generate=True)
    (made,) = report.passwords
    assert made.username == NFC
    assert users.find(NFC, MAIN).ha1_md5 == ha1(NFC, made.password)


def test_a_digest_beside_its_password_may_be_of_either_form(users, path):
    """As an earlier version has exported it."""
    for number, (name, secret) in enumerate([(NFD, SECRET_NFD), (NFC, SECRET_NFC)]):
        row = f"{name},{secret},{ha1(name, secret)},r{number}"
        made = ha1(name, secret, f"r{number}")
        report = take(
            users, row.replace(ha1(name, secret), made), header="username,password,ha1,realm"
        )
        assert report.refused == []
        assert users.find(NFC, f"r{number}").ha1_md5 == made


def test_an_export_of_two_forms_can_be_imported_again(users, path):
    """Each row means the account of exactly its name."""
    stored(users, path, NFC, "one")
    stored(users, path, NFD, "other")
    text = "".join(exported(users, with_hashes=True))
    assert import_accounts(users, io.BytesIO(text.encode())).same == 2


def test_case_is_compared_in_nfc_too(users):
    """A name that differs by case and form alone is refused as one by case."""
    users.add("\u00d6", "x")
    report = take(users, "o\u0308,x")
    assert "only in case" in report.refused[0].reason


@pytest.mark.parametrize("kept", [NFC, NFD])
@pytest.mark.parametrize("typed", [NFC, NFD, "j\u00f6r", "jo\u0308r", "J\u00f6", "jo\u0308"])
def test_a_search_finds_either_form(database, users, path, kept: str, typed: str):
    """In names and display names, from the third character on and before."""
    stored(users, path, kept, "x")
    stored(users, path, "bob", "x", display_name=kept)
    users.add("carol", "x")
    found = Directory(database, users).page(Question(search=typed))
    assert [entry.username for entry in found.entries] == sorted([kept, "bob"], key=str.lower)


# Numbers with separators, and names that hold an @


def test_numbers_are_found_with_and_without_separators():
    """RFC 3966 §4; of two accounts with one number the older is meant, and exactly a name first."""
    table = AccountTable(MAIN)

    def put(number: int, username: str, realm: str | None = None) -> Account:
        account = Account((number, username, realm, "", 1, "a", "b", "c"))
        table.put(account)
        return account

    second, first = put(2, "(030) 12".replace(" ", "")), put(1, "030-12")
    put(3, "bob-2")
    put(4, "+4930", "other.org")
    for name in ("03012", "0-3012", "03012;ext=5"):
        assert table.find(name, MAIN) is first
    assert table.find("(030)12", MAIN) is second
    assert table.find("bob2", MAIN) is None
    assert table.find("+49-30", MAIN) is None
    assert table.find("+49-30", "other.org") is not None
    assert table.find("+49-30", "nowhere") is None
    assert table.find_normalized("03012", MAIN) is None
    table.remove(first)
    assert table.find("03012", MAIN) is second
    exact = put(5, "03012")
    assert table.find("030-12", MAIN) is exact
    table.remove(exact)
    table.remove(second)
    assert table.find("03012", MAIN) is None


def test_a_command_takes_a_number_as_it_is_stored(users):
    """An operation that deletes or locks out is never guessed."""
    users.add("030-12", "x")
    users.add("03012", "x")
    users.remove("03012")
    assert names(users) == ["030-12"]


def test_an_at_sign_in_a_name_is_clear_in_the_audit():
    """ann@example.org is ann of that realm, "ann@example.org" a user of that name."""
    assert full_name("ann") == "ann"
    assert full_name("ann", "example.org") == "ann@example.org"
    assert full_name("ann@example.org") == '"ann@example.org"'
    assert full_name("ann@b", "c") == '"ann@b"@c'
