"""Checks of requests that the server answers itself (RFC 3261 §8.2)."""

import pytest

from sip.core.errors import Refused
from sip.core.uas import check_required
from sip.message.message import Request, parse


@pytest.mark.parametrize(
    ("required", "unsupported"),
    [
        ("path, gruu,outbound", None),
        ("PATH, Path", None),
        ("path, pref", "pref"),
        ("a,b", "a, b"),
        ("", None),
    ],
)
def test_unsupported_option_tags_are_named(required: str, unsupported: str | None):
    """§8.2.2.3."""
    request = parse(
        (
            "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
            "From: <sip:a@h>;tag=a\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n"
            f"CSeq: 1 OPTIONS\r\nRequire: {required}\r\n\r\n"
        ).encode()
    )
    assert isinstance(request, Request)
    if unsupported is None:
        check_required(request)
    else:
        with pytest.raises(Refused) as refused:
            check_required(request)
        assert (refused.value.status, refused.value.extra) == (420, (("Unsupported", unsupported),))
