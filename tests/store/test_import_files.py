"""Files as people make them: blank rows, other separators and encodings, missing passwords."""

import hashlib
import io

import pytest

from sip.store import csv_file, import_report, importing
from sip.store.importing import (
    BadFile,
    Change,
    Refusal,
    Remark,
    apply,
    check,
    import_accounts,
    password_blocks,
    read_csv,
)

MAIN = "example.com"


def take(users, text, **options):
    octets = text if isinstance(text, bytes) else text.encode()
    return import_accounts(users, io.BytesIO(octets), **options)


def counts(report):
    return report.new, report.changed, report.same, len(report.refused)


def password_is(users, username, password):
    ha1 = hashlib.md5(f"{username}:{MAIN}:{password}".encode()).hexdigest()
    return users.find(username, MAIN).ha1_md5 == ha1


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\r\n \r\n,,\r\nusername,password\r\nann,wonder-1\r\n", id="blanks before"),
        pytest.param(b"username,password\n\n,\n , \n\"\",\"\"\nann,wonder-1\n\n", id="blank rows"),
        pytest.param(b"username,password,,\nann,wonder-1,,\n,,,\n", id="separators at the end"),
        pytest.param(b"username;password;\r\nann;wonder-1;\r\n", id="semicolons at the end"),
        pytest.param(b"sep=;\r\nusername;password\r\nann;wonder-1\r\n", id="sep="),
        pytest.param(b"\xef\xbb\xbf\"sep=|\"\nusername|password\nann|wonder-1\n", id="BOM, sep="),
        pytest.param(b"sep=\t\nusername\tpassword\nann\twonder-1\n", id="sep=tab"),
        pytest.param(b"username\tpassword\tdisplay_name\nann\twonder-1\tA,B;C\n", id="tabs"),
        pytest.param(b"username,password\rann,wonder-1\r", id="CR"),
        pytest.param(b'"username", "password"\n"ann", "wonder-1"\n', id="blanks before quotes"),
        pytest.param(b"A, b, c, d;Extension;Secret\nx;ann;wonder-1\n", id="commas within"),
        pytest.param(b"username,password\nann,wonder-1\nusername,password\n", id="header twice"),
        pytest.param(b"username,password,display_name\nann,wonder-1\n", id="short row"),
        pytest.param("username,password\nann,wonder-1\n".encode("utf-16"), id="UTF-16"),
        pytest.param("\ufeffusername;password\nann;wonder-1\n".encode("utf-16-be"), id="UTF-16BE"),
    ],
)  # fmt: skip
def test_what_spreadsheets_and_people_write_is_read(users, octets):
    report = take(users, octets, skip_unknown=True)
    assert (counts(report), report.written) == ((1, 0, 0, 0), True), report
    assert password_is(users, "ann", "wonder-1")


def test_a_number_written_as_a_formula_keeps_its_zeros(users):
    take(users, 'username,password\n="0101",wonder-1\n')
    assert password_is(users, "0101", "wonder-1")


def test_states_of_other_systems_are_understood(users):
    words = ("Enabled", "active", "Y", "yes", "disabled", "Inactive", "n", "no")
    take(users, "username,password,enabled\n" + "".join(f"is{w},x,{w}\n" for w in words))
    assert [users.find(f"is{w}", MAIN).enabled for w in words] == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("username,password\na b,x\n", 2),
        ("\n\nsep=;\n\nusername;password\n;\na b;x\n", 7),
        ('"user\nname",password\n"ann\nlee",x\n', 3),
        ('username,password,display_name\nann,x,"A\nB"\na b,x\n', 2),
    ],
)
def test_a_line_is_counted_as_an_editor_does(users, text, line):
    assert take(users, text).refused[0].line == line


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16-le"])
def test_a_guessed_encoding_is_reported_and_must_be_confirmed(users, encoding):
    octets = "username,password,display_name\nann,wonder-1,Zoë Müller\n".encode(encoding)
    report = take(users, octets)
    name = "Windows-1252" if encoding == "windows-1252" else "UTF-16"
    assert report.refused == [
        Refusal(1, f"the file is not UTF-8; it may be {name}, with names like 'Zoë Müller'")
    ]
    assert (report.encoding, report.has_guessed_encoding) == (name, True)
    assert users.list() == []
    report = take(users, octets, encoding=encoding)
    assert (report.encoding, report.has_guessed_encoding) == (encoding, False)
    assert users.find("ann", MAIN).display_name == "Zoë Müller"


def test_an_encoding_that_the_file_states_is_used_and_reported(users):
    report = take(users, "username,password\nann,Müller\n".encode("utf-16"))
    assert (report.encoding, report.written) == ("UTF-16", True)
    assert password_is(users, "ann", "Müller")


def test_another_encoding_than_the_octets_allow_is_refused(users):
    octets = "username,password\nann,Müller\n".encode("windows-1252")
    with pytest.raises(BadFile, match="not UTF-8 text"):
        take(users, octets, encoding="utf8")
    with pytest.raises(BadFile, match="not UTF-8 text"):
        take(users, b"\xef\xbb\xbf" + octets)
    with pytest.raises(BadFile, match="no text encoding 'klingon'"):
        take(users, octets, encoding="klingon")


def test_unknown_columns_are_refused_until_they_may_be_left_out(users):
    text = "\nusername,Department,password,Room\nann,Sales,wonder-1,7\n"
    report = take(users, text)
    assert report.refused == [
        Refusal(2, "unknown column 'Department'"),
        Refusal(2, "unknown column 'Room'"),
    ]
    assert (report.unknown, report.has_refused_columns) == (["Department", "Room"], True)
    report = take(users, text, skip_unknown=True)
    assert (report.unknown, report.has_refused_columns) == (["Department", "Room"], False)
    assert report.written


def test_a_password_keeps_its_blanks_with_a_warning(users):
    report = take(users, 'username,password\nann, wonder-1\nbob,"x y-wonder"\ncarl,"wonder-2\t"\n')
    text = "the password begins or ends with a space, which is part of it"
    assert report.remarks == [Remark(2, text), Remark(4, text)]
    assert password_is(users, "ann", " wonder-1")
    assert password_is(users, "carl", "wonder-2\t")


def test_a_password_of_blanks_alone_is_none(users):
    report = take(users, 'username,password\nann,"  "\n')
    assert "without password and ha1" in report.refused[0].reason
    assert (report.weak, report.remarks) == (0, [])


def test_an_ldap_hash_instead_of_a_password_is_reported(users):
    report = take(users, "uid,userPassword\nann,{SSHA}d3MgaXMgbm90aGluZw==\nbob,{x}y-wonder\n")
    assert [remark.line for remark in report.remarks] == [2]
    assert report.written


def test_warnings_beyond_the_bound_are_counted(users, monkeypatch):
    monkeypatch.setattr(csv_file, "MAX_REFUSALS", 2)
    report = take(users, "username,password\n" + "".join(f"user{n}, x\n" for n in range(5)))
    assert (len(report.remarks), report.remarks_more) == (2, 3)


def test_a_row_that_repeats_another_is_the_same(users):
    text = "username,password,display_name\nann,wonder-1,Ann\nann,wonder-1,Ann\nann,,\n"
    report = take(users, text)
    assert (counts(report), report.written) == ((1, 0, 2, 0), True)
    assert counts(take(users, text)) == (0, 0, 3, 0)


def test_a_password_may_stand_beside_its_own_ha1(users):
    users.add("ann", "wonder-1")
    ha1 = users.find("ann", MAIN).ha1_md5
    users.remove("ann")
    assert take(users, f"username,password,ha1\nann,wonder-1,{ha1}\n").written
    assert users.find("ann", MAIN).ha1_sha256


def test_an_export_without_hashes_is_the_same_as_what_is_stored(users):
    users.add("ann", "wonder-1", display_name="Ann")
    report = take(users, "".join(importing.exported(users)))
    assert counts(report) == (0, 0, 1, 0)


def test_a_dry_run_names_each_changed_user_and_field(users):
    users.add("ann", "wonder-1", display_name="Ann")
    users.add("bob", "wonder-1")
    users.add("carl", "wonder-1")
    text = "username,password,display_name,enabled\nann,other-11,Anne,\nbob,,Bob,no\ncarl,,,\n"
    report = take(users, text, update=True, dry_run=True)
    assert report.changes == [
        Change(2, "ann", ("password", "display_name")),
        Change(3, "bob", ("display_name", "enabled")),
    ]
    refused = take(users, text)
    assert [reason.partition(": ")[2] for _, reason in refused.refused] == [
        "password, display_name",
        "display_name, enabled",
    ]
    assert (refused.lacks_update, refused.lacks_passwords) == (True, False)


def test_a_new_sha_digest_alone_is_no_password_change(users):
    ha1 = "0" * 32
    take(users, f"username,ha1\nann,{ha1}\n")
    report = take(users, f"username,ha1,ha1_sha256\nann,{ha1},{'1' * 64}\n", update=True)
    assert report.changes == [Change(2, "ann", ("ha1_sha256",))]


def test_changes_beyond_the_bound_are_counted(users, monkeypatch):
    monkeypatch.setattr(importing, "MAX_CHANGES", 2)
    assert import_report.MAX_CHANGES == csv_file.MAX_REFUSALS
    take(users, "username,password\n" + "".join(f"user{n},wonder-1\n" for n in range(4)))
    text = "username,password\n" + "".join(f"user{n},wonder-2\n" for n in range(4))
    report = take(users, text, update=True)
    assert (report.changed, len(report.changes)) == (4, 2)


# Generated passwords

SOME = "username,password,display_name,realm\nann,wonder-1,,\nbob,,Bob,\nbob,,Bob B,b.example\n"


def test_new_users_without_a_password_get_one(users):
    refused = take(users, SOME)
    assert [refusal.line for refusal in refused.refused] == [3, 4]
    assert refused.lacks_passwords
    report = take(users, SOME, generate=True)
    assert (counts(report), report.generated) == ((3, 0, 0, 0), 2)
    assert report.summary == "3 new, 0 changed, 2 passwords generated"
    first, second = report.passwords
    assert first[:3] == ("bob", "", "Bob")
    assert second[:3] == ("bob", "b.example", "Bob B")
    assert first.password != second.password
    assert password_is(users, "bob", first.password)
    assert users.find("bob", "b.example").ha1_sha512_256
    assert first.password not in repr(report)


def test_existing_users_keep_their_password(users):
    users.add("bob", "wonder-1")
    report = take(users, "username\nbob\ncarl\n", generate=True, update=True)
    assert (counts(report), report.generated) == ((1, 0, 1, 0), 1)
    assert password_is(users, "bob", "wonder-1")


def test_a_dry_run_and_a_refused_file_generate_nothing(users, monkeypatch):
    made = []
    monkeypatch.setattr(csv_file, "make_password", lambda: made.append(1) or "x")
    assert take(users, SOME, generate=True, dry_run=True).generated == 2
    refused = take(users, SOME + "a b,,,\n", generate=True)
    assert (len(refused.refused), refused.passwords, made) == (1, [], [])


def test_passwords_are_generated_where_the_caller_wants_it(users):
    """Of many it takes seconds, so that the pages have it done in a thread."""
    read = read_csv(io.BytesIO(SOME.encode()), MAIN, generate=True)
    assert check(users, read).generated == 2
    works = []

    def in_thread(work):
        works.append(len(users))
        work()

    report = apply(users, read, in_thread)
    assert (works, len(report.passwords)) == ([0], 2)
    read.release()
    assert not read.rows


def test_a_user_deleted_in_between_gets_a_password_as_well(users, monkeypatch):
    """Ann exists at the comparison, and no more when the write lock is held."""
    users.add("ann", "wonder-1")
    read = read_csv(io.BytesIO(b"username\nann\nbob\n"), MAIN, generate=True)

    def in_thread(work):
        work()
        users.remove("ann")

    report = apply(users, read, in_thread)
    assert [made.username for made in report.passwords] == ["ann", "bob"]
    assert all(password_is(users, made.username, made.password) for made in report.passwords)


def test_the_sheet_of_passwords_can_be_imported(users, monkeypatch):
    monkeypatch.setattr(importing, "_BLOCK", 1)
    report = take(users, SOME + "=bob,,Bob,\n", generate=True)
    for for_spreadsheet in (False, True):
        text = "".join(password_blocks(report.passwords, for_spreadsheet=for_spreadsheet))
        assert len(text.splitlines()) == 4
        assert ("\n=bob" in text) == (not for_spreadsheet)
        assert counts(take(users, text)) == (0, 0, 3, 0)
