"""Names of header fields and phrases of responses that later RFCs have added."""

from sip.message.names import REASONS, field_name
from tests.support.cases import cases


@cases(
    ("letter", "name"),
    [
        ("o", "event"),  # RFC 6665
        ("u", "allow-events"),
        ("r", "refer-to"),  # RFC 3515
        ("b", "referred-by"),  # RFC 3892
        ("x", "session-expires"),  # RFC 4028
        ("a", "accept-contact"),  # RFC 3841
        ("j", "reject-contact"),
        ("d", "request-disposition"),
        ("y", "identity"),  # RFC 4474
        ("n", "identity-info"),
    ],
)
def test_the_compact_names_of_later_rfcs_are_known(letter: str, name: str):
    """RFC 3261 §7.3.3: names that other RFCs define."""
    assert field_name(f"{letter}: x") == field_name(f"{letter.upper()} : x") == name


@cases(
    ("status", "phrase"),
    [
        (202, "Accepted"),  # RFC 6665
        (204, "No Notification"),  # RFC 5839
        (412, "Conditional Request Failed"),  # RFC 3903
        (422, "Session Interval Too Small"),  # RFC 4028
        (430, "Flow Failed"),  # RFC 5626
        (440, "Max-Breadth Exceeded"),  # RFC 5393
        (489, "Bad Event"),  # RFC 6665
    ],
)
def test_statuses_of_later_rfcs_have_their_phrases(status: int, phrase: str):
    """RFC 3261 §7.2: for people; a Reason that we write has them too (RFC 3326 §2)."""
    assert REASONS[status] == phrase
