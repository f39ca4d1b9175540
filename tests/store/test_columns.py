"""The columns of the exports of several programs."""

import pytest

from sip.store.columns import (
    MAX_COLUMNS,
    BadHeader,
    ColumnChoice,
    Columns,
    UnknownUsername,
    guessed,
)


@pytest.mark.parametrize(
    ("header", "cells", "row"),
    [
        pytest.param(
            "extension,password,name,voicemail,ringtimer,outboundcid,tech,secret,description",
            ["101", "4711", "Ann Lee", "novm", "0", "", "pjsip", "wonder-1", "Desk 7"],
            {"username": "101", "password": "wonder-1", "display_name": "Ann Lee"},
            id="FreePBX",
        ),
        pytest.param(
            "Number,FirstName,LastName,EmailAddress,AuthID,AuthPassword,PIN",
            ["101", "Ann", "Lee", "ann@example.com", "k3Jd9s", "wonder-1", "4711"],
            {"username": "101", "password": "wonder-1", "display_name": "Ann Lee"},
            id="3CX",
        ),
        pytest.param(
            "Extension,CallerID Name,SIP/IAX Password,Voicemail Password,First Name,Last Name",
            ["101", "", "wonder-1", "4711", "Ann", "Lee"],
            {"username": "101", "password": "wonder-1", "display_name": "Ann Lee"},
            id="Grandstream",
        ),
        pytest.param(
            "Display Name,User Name,Register Name,Password,Label",
            ["Ann Lee", "101", "101-auth", "wonder-1", "Desk"],
            {"username": "101", "password": "wonder-1", "display_name": "Ann Lee"},
            id="Yealink",
        ),
        pytest.param(
            "name,defaultuser,host,secret,callerid,context",
            ["101", "", "dynamic", "wonder-1", '"Ann Lee" <101>', "internal"],
            {"username": "101", "password": "wonder-1", "display_name": "Ann Lee"},
            id="Asterisk",
        ),
        pytest.param(
            "dn,uid,cn,sn,givenName,telephoneNumber,userPassword",
            ["uid=ann", "ann", "Ann Lee", "Lee", "Ann", "+4930123", "wonder-1"],
            {"username": "ann", "password": "wonder-1", "display_name": "Ann Lee"},
            id="LDAP",
        ),
        pytest.param(
            "sAMAccountName,displayName,name,telephoneNumber",
            ["ann", "Ann Lee", "Lee, Ann", ""],
            {"username": "ann", "display_name": "Ann Lee"},
            id="Active Directory",
        ),
        pytest.param(
            "id,username,domain,password,ha1,ha1b",
            ["7", "101", "example.net", "wonder-1", "0" * 32, "1" * 32],
            {
                "username": "101",
                "realm": "example.net",
                "password": "wonder-1",
                "ha1_md5": "0" * 32,
            },
            id="Kamailio",
        ),
        pytest.param(
            "name,secret,Display Name",
            ["101", "wonder-1", "Ann"],
            {"username": "101", "password": "wonder-1", "display_name": "Ann"},
            id="name of the account",
        ),
        pytest.param(
            " USER-NAME ,Pass word,DISPLAY_NAME,HA1-SHA512_256",
            ["101", "wonder-1", "Ann", "x"],
            {
                "username": "101",
                "password": "wonder-1",
                "display_name": "Ann",
                "ha1_sha512_256": "x",
            },
            id="spelled otherwise",
        ),
    ],
)  # fmt: skip
def test_names_of_other_systems_are_understood(header, cells, row):
    columns = Columns(header.split(","))
    assert columns.read(cells) == row


def test_unknown_columns_are_named():
    columns = Columns(["username", "Department", " Room ", "password", ""])
    assert columns.unknown == ["Department", "Room"]
    assert columns.notes == []


def test_synonyms_of_columns_are_reported():
    columns = Columns(["Extension", "secret", "password", "ha1"])
    assert columns.notes == [
        "Extension is read as username",
        "secret, password: all read as password; the first one with a value is used",
    ]
    assert columns.read(["101", "", "other", ""])["password"] == "other"
    assert columns.read(["101", "one", "other", ""])["password"] == "one"


def test_one_name_twice_is_taken_while_both_columns_agree():
    columns = Columns(["username", "password", "Password"])
    assert columns.read(["101", "", "secret"])["password"] == "secret"
    assert columns.read(["101", "secret", "secret"])["password"] == "secret"
    with pytest.raises(ValueError, match="the two columns Password have different values"):
        columns.read(["101", "secret", "other"])


def test_cells_that_no_column_names_have_to_be_empty():
    """A password with a comma, unquoted, must not be cut short."""
    columns = Columns(["username", "password", "", "enabled", "", ""])
    assert columns.read(["101", "x", "", "1", " ", "", ""])["enabled"] == "1"
    assert columns.read(["101"]) == {"username": "101", "password": "", "enabled": ""}
    with pytest.raises(ValueError, match="5 fields, but the header has 4"):
        columns.read(["101", "x", "", "1", "y"])
    with pytest.raises(ValueError, match="column 3 has a value"):
        columns.read(["101", "se", "cret", "1"])


def test_a_caller_id_is_read_with_and_without_a_number():
    columns = Columns(["extension", "callerid"])
    for text, name in [
        ('"Ann Lee" <101>', "Ann Lee"),
        ("Ann Lee <101>", "Ann Lee"),
        ("<101>", ""),
        ("Ann Lee", "Ann Lee"),
    ]:
        assert columns.read(["101", text])["display_name"] == name


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ([], "columns: none"),
        (["", ""], "columns: none"),
        (["password", "Department"], "columns: password, Department"),
        (["username", *("x" * MAX_COLUMNS)], f"more than {MAX_COLUMNS} columns"),
    ],
)
def test_a_header_without_a_user_name_is_none(header, reason):
    with pytest.raises(BadHeader, match=reason):
        Columns(header)


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        ("Extension,Secret,Room", ("username", "password", "")),
        ("ext,First Name,Last Name,", ("username", "first_name", "last_name")),
        ("name,Given Name", ("username", "first_name")),
        ("a,b", ("", "")),
    ],
)
def test_a_guess_names_the_field_of_each_column(header, fields):
    assert guessed(header.split(",")).fields == fields


@pytest.mark.parametrize(
    ("header", "fields", "cells", "row"),
    [
        pytest.param(
            ["Extension", "Nummer", "Kennwort"],
            ("", "username", "password"),
            ["101", "202", "x"],
            {"username": "202", "password": "x"},
            id="another column than the guess",
        ),
        pytest.param(
            ["n", "a", "b"],
            ("username", "last_name", "first_name"),
            ["101", "Lee", "Ann"],
            {"username": "101", "display_name": "Ann Lee"},
            id="first and last name",
        ),
        pytest.param(
            ["user", "password", "secret"],
            ("username", "password", "password"),
            ["101", "voicemail", "wonder-1"],
            {"username": "101", "password": "wonder-1"},
            id="two columns in the order of the guess",
        ),
        pytest.param(
            ["user", "", "x"],
            ("username", "", ""),
            ["101", "left out", "y"],
            {"username": "101"},
            id="a column without a name",
        ),
    ],
)
def test_a_choice_comes_before_the_names(header, fields, cells, row):
    columns = Columns(header, ColumnChoice(fields))
    assert columns.read(cells) == row
    assert columns.unknown == []


def test_a_choice_needs_a_user_name():
    with pytest.raises(UnknownUsername, match="no column is taken for the user name"):
        Columns(["username", "password"], ColumnChoice(("", "password")))
