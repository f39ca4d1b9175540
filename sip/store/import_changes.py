"""What a row of an import changes in an account that exists already."""

from collections.abc import Mapping
from typing import Any

from sip.store.accounts import ha1s, normalized
from sip.store.csv_file import HA1S, CsvRow, Row


def values_for(row: CsvRow, known: Row, realm: str) -> Row:
    """Return the values of a row for an existing account.

    HA1s are computed for the stored form of the name.  If the stored HA1 is that of the password as
    written, it stays; else the HA1 of the password in NFC is used.
    """
    if not row.password:
        return row.values
    made = ha1s(known["username"], realm, row.password)
    if made["ha1_md5"] != known["ha1_md5"]:
        made = ha1s(known["username"], realm, normalized(row.password))
    return {**row.values, **made}


def changes(old: Mapping[str, Any], values: Row) -> Row:
    """Return the changed columns of an account.

    A column that is not in the row stays as it is, except the other HA1s of a changed password.
    """
    changed = {column: value for column, value in values.items() if old[column] != value}
    if "display_name" in changed and changed["display_name"] == normalized(old["display_name"]):
        del changed["display_name"]
    if "ha1_md5" in changed:
        # The password changed: HA1s of the former password are deleted.
        for column in HA1S:
            if column not in values and old[column] is not None:
                changed[column] = None
    return changed


def fields(changed: Row) -> tuple[str, ...]:
    """Return the changed fields for the report; a changed MD5 HA1 is shown as "password"."""
    names = (column for column in changed if column not in HA1S)
    if "ha1_md5" in changed:
        return ("password", *names)
    return (*(column for column in HA1S if column in changed), *names)
