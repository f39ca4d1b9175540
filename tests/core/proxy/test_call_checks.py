"""The rule that ends a call after a check."""

import pytest

from sip.core.proxy.call_checks import Finding, finding_of, is_over

HAS, NOT, SILENT, UNKNOWN = (
    Finding.HAS_DIALOG,
    Finding.HAS_NO_DIALOG,
    Finding.SILENCE,
    Finding.UNKNOWN,
)


@pytest.mark.parametrize(
    ("status", "finding"),
    [
        (200, HAS),
        (405, HAS),
        (500, HAS),  # for the repeated CSeq
        (481, NOT),
        (408, NOT),
        (503, UNKNOWN),
        (0, SILENT),
    ],
)
def test_a_status_shows_a_finding(status, finding):
    assert finding_of(status) is finding


@pytest.mark.parametrize("other", list(Finding))
@pytest.mark.parametrize("is_unregistered", [True, False])
def test_a_side_that_has_the_dialog_keeps_the_call(other, is_unregistered):
    for findings in ((HAS, other), (other, HAS)):
        assert not is_over(findings, is_unregistered=is_unregistered, is_silent_again=True)


@pytest.mark.parametrize(
    ("findings", "is_end", "is_end_unregistered", "is_end_again"),
    [
        ((NOT, NOT), True, True, True),
        ((NOT, SILENT), True, True, True),
        ((SILENT, SILENT), False, True, True),
        ((SILENT, UNKNOWN), False, True, False),
        ((UNKNOWN, NOT), False, True, False),
    ],
)
def test_evidence_ends_a_call(findings, is_end, is_end_unregistered, is_end_again):
    def ends(is_unregistered: bool = False, is_silent_again: bool = False) -> bool:
        return is_over(findings, is_unregistered=is_unregistered, is_silent_again=is_silent_again)

    assert ends() == is_end
    assert ends(is_unregistered=True) == is_end_unregistered
    assert ends(is_silent_again=True) == is_end_again
