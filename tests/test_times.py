"""Times as text."""

from sip.times import rfc3339


def test_times_are_in_utc_and_end_with_z(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert rfc3339(1_700_000_000.9) == "2023-11-14T22:13:20Z"
    assert rfc3339(1_700_000_000.0429, milliseconds=True) == "2023-11-14T22:13:20.042Z"
