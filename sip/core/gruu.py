"""GRUUs: addresses of one phone of a user, which this server resolves (RFC 5627).

A public GRUU is the address of the user with the instance id of the phone in its `gr` parameter.  A
temporary GRUU hides both: its user part is a number, encrypted and authenticated with a key of this
server, and differs in each response.  The number is the `generation` of a phone's bindings; it
changes when the temporary GRUUs of the phone end (§5.1).  So no GRUU is stored, and all of them
stay valid after a restart.

Pure: random octets are an argument.
"""

import hashlib
import hmac
import re
from base64 import b32decode, b32encode

from sip.message.grammar import unescape
from sip.message.uri import SipUri, Uri

# The URI parameter of a GRUU (§7).
PARAMETER = "gr"
# Octets: two GRUUs with one nonce would show whether they are of one phone (§5.1), and a guessed
# code would reach one.
NONCE_BYTES, _NUMBER_BYTES, _CODE_BYTES = 10, 7, 8
# 25 octets are 40 characters of Base32, without padding.
_USER = re.compile(r"tgruu\.([a-z2-7]{40})")
# The greatest generation: one that SQLite can hold.
MAX_GENERATION = 2 ** (8 * _NUMBER_BYTES) - 1
# An instance id as in a Contact (RFC 5626 §4.1): a URN in angle brackets.
_INSTANCE = re.compile(r"<([!-;=?-~]+)>", re.ASCII)
_NOT_IN_VALUE = re.compile(r"[^A-Za-z0-9_.!~*'()\[\]/:&+$-]")


def is_gruu(uri: Uri) -> bool:
    """Return True if a URI has the parameter of a GRUU (§4.5); it need not be one of ours."""
    if not isinstance(uri, SipUri) or not uri.params:
        return False
    return any(name == PARAMETER for name, _ in uri.params)


def is_public_gruu(uri: Uri) -> bool:
    """Return True if a URI has the form of a public GRUU, which names user and phone."""
    return isinstance(uri, SipUri) and bool(uri.param(PARAMETER))


def may_have_gruu(instance: str) -> bool:
    """Return True if an instance id has the form that a GRUU can be made from."""
    return _INSTANCE.fullmatch(instance) is not None


def public_gruu(aor: SipUri, instance: str) -> str:
    """Return the public GRUU of a phone; `aor` is the address of its user as the phone writes it.

    So its host is one that the phone resolves.
    """
    address = _address(aor, aor.user or "")
    value = _NOT_IN_VALUE.sub(lambda found: f"%{ord(found[0]):02X}", instance[1:-1])
    return f"{address};{PARAMETER}={value}"


def _address(aor: SipUri, user: str) -> str:
    """Return the address of a user in the domain of `aor`, with host and port as written."""
    host = aor.text.partition(":")[2].rpartition("@")[2]
    return f"sip:{user}@{re.split('[;?]', host, maxsplit=1)[0]}"


class TemporaryGruus:
    """Makes and reads temporary GRUUs with a secret key of at least 16 octets."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, aor: SipUri, generation: int, nonce: bytes) -> str:
        """Return a temporary GRUU of a generation; `nonce` are NONCE_BYTES random octets."""
        hidden = self._encrypted(generation.to_bytes(_NUMBER_BYTES, "big"), nonce)
        octets = nonce + hidden + self._code(nonce + hidden)
        user = b32encode(octets).decode("ascii").lower()
        return f"{_address(aor, f'tgruu.{user}')};{PARAMETER}"

    def generation_of(self, uri: SipUri) -> int:
        """Return the generation in a temporary GRUU; 0 if this server has not made it."""
        match = _USER.fullmatch(unescape(uri.user) if uri.user else "")
        if match is None or uri.param(PARAMETER):
            return 0
        octets = b32decode(match[1].upper())
        signed, code = octets[:-_CODE_BYTES], octets[-_CODE_BYTES:]
        if not hmac.compare_digest(self._code(signed), code):
            return 0
        number = self._encrypted(signed[NONCE_BYTES:], signed[:NONCE_BYTES])
        return int.from_bytes(number, "big")

    def _encrypted(self, octets: bytes, nonce: bytes) -> bytes:
        """Return octets combined with a key stream by XOR: doing it twice gives them back."""
        stream = hashlib.blake2b(
            nonce, digest_size=len(octets), key=self._secret, person=b"gruu number"
        ).digest()
        return bytes(one ^ other for one, other in zip(octets, stream, strict=True))

    def _code(self, octets: bytes) -> bytes:
        return hashlib.blake2b(
            octets, digest_size=_CODE_BYTES, key=self._secret, person=b"gruu code"
        ).digest()
