"""The rows of an import by outcome, with the values before and after."""

import io

from sip.store.columns import ColumnChoice
from sip.store.import_outcomes import FieldChange, RowOutcome
from sip.store.importing import check, read_csv

TEXT = """username,password,display_name,enabled
ann,secret-1,Ann Lee,no
bob,secret-2,,
carl,secret-3,Carl,
a b,secret-4,,
dora,,Dora,
carl,secret-3,,
"""


def looked_at(users, text=TEXT):
    csv_file = read_csv(
        io.BytesIO(text.encode()), users.realm, update=True, generate=True, accept_guess=True
    )
    return csv_file, check(users, csv_file)


def test_each_row_is_listed_with_its_values(users):
    users.add("first", "secret-1")
    users.add("ann", "former", display_name="Ann")
    users.add("bob", "secret-2")
    csv_file, report = looked_at(users)
    outcomes = report.outcomes
    (changed,) = outcomes.changed_rows(users, csv_file, 0, 50)
    assert changed == RowOutcome(
        2,
        "ann",
        None,
        [
            FieldChange("password", None, None),
            FieldChange("display_name", "Ann", "Ann Lee"),
            FieldChange("enabled", 1, 0),
        ],
    )
    assert outcomes.same_rows(csv_file, 0, 50) == [RowOutcome(3, "bob", None)]
    assert outcomes.new_rows(csv_file, 0, 50) == [
        RowOutcome(4, "carl", None, [FieldChange("display_name", None, "Carl")]),
        RowOutcome(
            6,
            "dora",
            None,
            [FieldChange("generated", None, None), FieldChange("display_name", None, "Dora")],
        ),
    ]
    assert (report.new, report.changed, report.same, report.refusals) == (2, 1, 2, 1)


def test_rows_are_read_from_any_start(users):
    rows = "".join(f"user{number},x\n" for number in range(120))
    csv_file, report = looked_at(users, f"username,password\n{rows}")
    assert [row.line for row in report.outcomes.new_rows(csv_file, 100, 50)] == [*range(102, 122)]
    assert report.outcomes.new_rows(csv_file, 150, 50) == []


def test_an_account_deleted_meanwhile_has_no_values(users):
    users.add("ann", "former")
    csv_file, report = looked_at(users)
    users.remove("ann")
    (row,) = report.outcomes.changed_rows(users, csv_file, 0, 50, [("display_name",)])
    assert row.changes == [FieldChange("display_name", None, None)]


def test_a_file_without_a_header_is_read_by_a_choice(users):
    choice = ColumnChoice(("username", "password", "display_name"), has_header=False)
    text = b"ann;secret-1;Ann\nann;secret-1;Ann\nbob;secret-2\n"
    csv_file = read_csv(io.BytesIO(text), users.realm, choice=choice)
    report = check(users, csv_file)
    assert [row.line for row in report.outcomes.new_rows(csv_file, 0, 50)] == [1, 3]
    assert (report.new, report.same) == (2, 1)
