"""Bounds of the lifetime of bindings (RFC 3261 §10.3, step 7)."""

import pytest

from sip.core.errors import Refused
from sip.core.registrar.registrar import Expiry

EXPIRY = Expiry(minimum=60, maximum=7200, default=3600)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [(0, 0), (60, 60), (61, 61), (7200, 7200), (7201, 7200), (2**32 - 1, 7200)],
)
def test_expires_is_granted_within_bounds(asked: int, granted: int):
    """§10.3, step 7: shortened, never lengthened; zero removes."""
    assert EXPIRY.granted(asked) == granted


@pytest.mark.parametrize("asked", [1, 59])
def test_a_too_short_expires_gets_423_with_the_minimum(asked: int):
    """§10.3, step 7; §20.23."""
    with pytest.raises(Refused) as refused:
        EXPIRY.granted(asked)
    assert (refused.value.status, refused.value.extra) == (423, (("Min-Expires", "60"),))


@pytest.mark.parametrize(
    ("asked", "granted"), [(3599, None), (3600, 3600), (5999, 5999), (6000, 6000), (9000, 7200)]
)
def test_an_hour_is_never_too_brief(asked: int, granted: int | None):
    """§10.3, step 7: 423 only below one hour, with any configured minimum."""
    strict = Expiry(minimum=6000, maximum=7200, default=7000)
    if granted is not None:
        assert strict.granted(asked) == granted
        return
    with pytest.raises(Refused) as refused:
        strict.granted(asked)
    assert refused.value.extra == (("Min-Expires", "3600"),)
