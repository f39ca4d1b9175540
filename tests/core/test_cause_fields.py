"""Warning and Reason: text for a person, of any script, and safe in a header field."""

import re

import pytest

from tests.support.world import REALM, World


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("jürgen", "jürgen"),
        ("o%22neil", 'o\\"neil'),
        ("back%5Cslash", "back\\\\slash"),
        ("line%0D%0AVia%3A%20x", "line??Via: x"),
        ("%80", "?"),
    ],
)
def test_the_text_is_a_quoted_string_of_utf8(world: World, name: str, shown: str):
    """RFC 3261 §20.43, §25.1: no line end, no open quote, no octet outside UTF-8."""
    alice = world.phone("alice")
    escaped = "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in name)
    alice.sends("INVITE", f"sip:{escaped}@{REALM}")
    octets = alice.inbox[-1]
    (field,) = re.findall(rb"\r\nWarning: (.*)\r\n", octets)
    assert field.decode() == f'399 192.0.2.1:5060 "unknown callee {shown}"'
    (field,) = re.findall(rb"\r\nReason: (.*)\r\n", octets)
    assert field.decode() == f'Q.850;cause=1;text="unknown callee {shown}"'


def test_the_text_of_a_warning_is_short(world: World):
    alice = world.phone("alice")
    alice.sends("INVITE", f"sip:{'9' * 500}@{REALM}")
    assert alice.gets(404).value("warning").endswith(f' "unknown callee {"9" * 60}"')
