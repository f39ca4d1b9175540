"""Digest authentication: challenges, nonces and answers (RFC 3261 §22, RFC 7616, 8760, 2069).

Pure: the time, the secret and the source address are arguments.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, NamedTuple

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, quote
from sip.message.headers import MAX_CREDENTIAL_PARAMS, parse_credentials, scan_credentials

# Lifetime of a nonce; then the phone gets a new one by stale=true, without asking its user.
NONCE_SECONDS = 300.0
# Nonces whose counts are remembered.  A phone uses a nonce for its whole lifetime, so this is the
# number of phones that can authenticate within it.  Each takes 62 bytes: the number of a half is
# just below that at which its dictionary is doubled.
MAX_COUNTED_NONCES = 87_000
# How far a nonce-count may lag behind the highest one, as when datagrams overtake each other.
COUNT_WINDOW = 64
# RFC 2069 has no count: such an answer may use its nonce only once.  So this count is so high that
# every count of eight digits is out of the window below it.
ONCE = 2**32 + COUNT_WINDOW
# The digits of a nonce by which its counts are found: 60 random bits.  With the first digit of the
# unique part, a number in Python would take 16 bytes more.
_COUNTED_PART = slice(9, 24)
_WHOLE_WINDOW = 2**COUNT_WINDOW - 1
_USED_ONCE = 1 << COUNT_WINDOW | 1  # one object for most nonces


def _hash_function(fresh: Any) -> Callable[[bytes], str]:
    """Return a function from octets to hex digits; a copy is cheaper than a new hash object."""

    def hexdigest(data: bytes) -> str:
        hashing = fresh.copy()
        hashing.update(data)
        return str(hashing.hexdigest())

    return hexdigest


_HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": _hash_function(hashlib.md5(usedforsecurity=False)),
    "SHA-256": _hash_function(hashlib.sha256()),
    "SHA-512-256": _hash_function(hashlib.new("sha512_256")),
}
ALGORITHMS = tuple(_HASHES)
_HEX = frozenset("0123456789abcdefABCDEF")
_LONGEST_CACHED = 100
# Characters of credentials that are read by their layout; those of phones have 200 to 400.
_LONGEST_USUAL = 600
# The parameters of an Answer, in the order of its fields.
_ANSWER_PARAMS = (
    *("algorithm", "username", "realm", "nonce", "uri"),
    *("response", "qop", "nc", "cnonce"),
)
_USUAL_PARAMS = frozenset({*_ANSWER_PARAMS, "opaque"})


@dataclass(slots=True)
class Answer:
    """The parameters of digest credentials in an Authorization header field.

    `qop` is "" if the client follows RFC 2069; `count` is the text of nc.  `written` is the
    username as the phone sent it, if it is another spelling of the account's name.
    """

    algorithm: str
    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    qop: str
    count: str
    cnonce: str
    written: str = ""


def read_credentials(field: str) -> tuple[Answer, str] | None:
    """Read credentials as `read_answer` does; None if they are no digest.  Raises BadMessage."""
    if (answer := _read_usual(field)) is not None:
        return answer, ""
    credentials = parse_credentials(field)
    return read_answer(credentials.params) if credentials.scheme == "digest" else None


def read_answer(params: dict[str, str]) -> tuple[Answer, str]:
    """Read the parameters of credentials; return also what is wrong with them, "" for nothing."""
    get = params.get
    answer = Answer(
        algorithm=_canonical(get("algorithm")),
        username=get("username", ""),
        realm=get("realm", ""),
        nonce=get("nonce", ""),
        uri=get("uri", ""),
        response=get("response", ""),
        qop=get("qop", ""),
        count=get("nc", ""),
        cnonce=get("cnonce", ""),
    )
    return answer, _fault(answer, params)


def _fault(answer: Answer, params: dict[str, str]) -> str:
    """Return what is wrong with an answer; `params` may have more than it."""
    if answer.algorithm not in _HASHES:
        return f"the algorithm {answer.algorithm[:20]} is not offered"
    if "username*" in params or params.get("userhash", "").lower() == "true":
        return "the username is hashed or encoded, which is not offered"
    if not answer.qop:
        return ""
    if answer.qop.lower() != "auth":
        return f"the qop {answer.qop[:20]} is not offered"
    if len(answer.count) != 8 or not _HEX.issuperset(answer.count) or not answer.cnonce:
        return "qop without an eight-digit nc, or without cnonce"
    return ""


class _Layout(NamedTuple):
    """Where digest credentials have the values of an Answer.

    `pick` returns these values, given the credentials split at quotes and then `unquoted`, the
    values without quotes.
    """

    unquoted: list[str]
    pick: Callable[[list[str]], tuple[str, ...]]


def _read_usual(field: str) -> Answer | None:
    """Read usual digest credentials quickly; None if the exact parser has to read them.

    The text outside of quotes is the same in all credentials of one phone model, except for the
    nonce-count, so it is parsed once, and the quoted values are put into their places.
    """
    if len(field) > _LONGEST_USUAL or "\\" in field:
        return None
    if field.count("=") > MAX_CREDENTIAL_PARAMS or field.count(",") > MAX_CREDENTIAL_PARAMS:
        return None
    pieces = field.split('"')
    layout = _layout(tuple(pieces[::2])) if len(pieces) % 2 else None
    if layout is None:
        return None
    answer = Answer(*layout.pick(pieces + layout.unquoted))
    return None if _fault(answer, {}) else answer


@cached_parse(1024)
def _layout(outside: tuple[str, ...]) -> _Layout | None:
    """Parse credentials of which only the text outside of quotes is known; None if unusual."""
    marks = [f"{number}," for number in range(len(outside) - 1)]  # unquoted values have no comma
    quoted = [f'"{mark}"{rest}' for mark, rest in zip(marks, outside[1:], strict=True)]
    try:
        credentials = scan_credentials(outside[0] + "".join(quoted))
    except BadMessage:
        return None
    params = credentials.params
    if credentials.scheme != "digest" or not params.keys() <= _USUAL_PARAMS:
        return None
    params["algorithm"] = _canonical(params.get("algorithm"))
    unquoted: list[str] = []
    places: list[int] = []
    for name in _ANSWER_PARAMS:
        value = params.get(name, "")
        if value in marks:
            places.append(2 * marks.index(value) + 1)
        else:
            places.append(2 * len(marks) + 1 + len(unquoted))
            unquoted.append(value)
    return _Layout(unquoted, itemgetter(*places))


def _canonical(algorithm: str | None) -> str:
    """RFC 7616 §3.4: the default is MD5; names are case-insensitive."""
    return algorithm.upper() if algorithm else "MD5"


def ha1_of(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return the HA1 of a password in one realm, as hex digits (RFC 7616 §3.4.2)."""
    return _HASHES[algorithm](f"{username}:{realm}:{password}".encode("utf-8", "surrogateescape"))


def expected_response(ha1: str, method: str, answer: Answer) -> str:
    """Compute the right `response` for an HA1 (RFC 7616 §3.4.1, RFC 2069 §2.1.2)."""
    digest = _HASHES[answer.algorithm]
    ha2_of = _cached_ha2 if len(answer.uri) <= _LONGEST_CACHED else _ha2
    ha2 = ha2_of(answer.algorithm, method, answer.uri)
    if answer.qop:
        text = f"{ha1}:{answer.nonce}:{answer.count}:{answer.cnonce}:{answer.qop}:{ha2}"
    else:
        text = f"{ha1}:{answer.nonce}:{ha2}"
    return digest(text.encode("utf-8", "surrogateescape"))


def _ha2(algorithm: str, method: str, uri: str) -> str:
    return _HASHES[algorithm](f"{method}:{uri}".encode("utf-8", "surrogateescape"))


_cached_ha2 = cached_parse(1024)(_ha2)  # the same for all phones that register


def is_right(ha1: str, method: str, answer: Answer) -> bool:
    """Return True if an answer is right; takes the same time if it is wrong.

    Without qop it follows RFC 2069; but one with a cnonce may mean `auth`, which is the default
    since RFC 8760 §2.6, item 8.
    """
    said = answer.response.lower().encode("utf-8", "surrogateescape")
    expected = expected_response(ha1, method, answer).encode()
    if answer.qop or not answer.cnonce:
        return hmac.compare_digest(expected, said)
    as_auth = expected_response(ha1, method, replace(answer, qop="auth")).encode()
    return hmac.compare_digest(expected, said) | hmac.compare_digest(as_auth, said)


def challenge(realm: str, nonce: str, algorithm: str, *, stale: bool) -> str:
    """Write a challenge for WWW-Authenticate or Proxy-Authenticate (RFC 7616 §3.3)."""
    tail = ", stale=true" if stale else ""
    return f'{_challenge_start(realm)}{nonce}", algorithm={algorithm}, qop="auth"{tail}'


@cached_parse(64)
def _challenge_start(realm: str) -> str:
    return f'Digest realm={quote(realm)}, nonce="'


class Nonces:
    """Makes signed nonces, and remembers which counts of them were used.

    Problem: refuse replays (RFC 7616 §5.5) without memory for each challenge that is sent.
    Model: a nonce is the time, a unique part, and a MAC over both and the address it was given to.
        It is remembered only after a right password has used it, as its highest count above a
        window of the counts seen.  Counts are kept in two halves; the older half is removed as a
        whole when all its nonces have expired, or when there are too many.
    Invariant: no count is accepted twice.  When a half is removed early, every nonce that is not
        younger is refused as stale: an extra round trip, but no replay.
    Bounds: MAX_COUNTED_NONCES.

    `secret` must be new at each start: the counts are lost then, and used ones would be accepted.
    """

    def __init__(self, secret: bytes, new_token: Callable[[], str]) -> None:
        self._keyed = hashlib.blake2b(digest_size=8, key=secret)
        self._new_token = new_token
        # From the unique part to the highest count, above a window of those seen.
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._turned_at = 0.0
        self._latest = self._latest_of_old = 0  # Unix second of the youngest nonce of each
        self._oldest_valid = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def make(self, now: float, source: str) -> str:
        """Return a new nonce for the peer at the address `source`."""
        head = format(int(now), "08x") + self._new_token()
        return head + self._mac(head, source)

    def _mac(self, head: str, source: str) -> str:
        hashing = self._keyed.copy()
        hashing.update(f"{head} {source}".encode("utf-8", "surrogateescape"))
        return hashing.hexdigest()

    def is_ours(self, nonce: str, source: str) -> bool:
        """Return True if we made the nonce, for that address; it may be old."""
        if len(nonce) != 40 or not nonce.isascii():
            return False
        return hmac.compare_digest(self._mac(nonce[:24], source), nonce[24:])

    def is_fresh(self, nonce: str, now: float) -> bool:
        """Return True while a nonce of ours has not expired."""
        made_at = int(nonce[:8], 16)
        return self._oldest_valid <= made_at <= now <= made_at + NONCE_SECONDS

    def is_usable(self, nonce: str, now: float) -> bool:
        """Return True while a right answer to a nonce of ours would be accepted.

        After an answer without a count (RFC 2069) it no longer is.
        """
        key = int(nonce[_COUNTED_PART], 16)
        used = self._young.get(key) or self._old.get(key, 0)
        return used >> COUNT_WINDOW < ONCE and self.is_fresh(nonce, now)

    def use(self, nonce: str, count: int, now: float) -> bool:
        """Mark a count of a nonce as used.  False: it was used before, or lags too far behind."""
        key = int(nonce[_COUNTED_PART], 16)
        used = self._young.get(key) or self._old.get(key, 0)
        highest, seen = used >> COUNT_WINDOW, used & _WHOLE_WINDOW
        if count > highest:
            seen = (seen << min(count - highest, COUNT_WINDOW) | 1) & _WHOLE_WINDOW
            highest = count
        else:
            behind = highest - count  # compared first: 1 << 2**32 would take half a gigabyte
            if count < 1 or behind >= COUNT_WINDOW or seen >> behind & 1:
                return False
            seen |= 1 << behind
        if len(self._young) >= MAX_COUNTED_NONCES // 2:
            self._oldest_valid = max(self._oldest_valid, self._latest_of_old + 1)
            self._turn(now)
        elif now - self._turned_at > NONCE_SECONDS + 1:
            self._turn(now)  # nonces used before the last turn have expired
        used = highest << COUNT_WINDOW | seen
        self._young[key] = _USED_ONCE if used == _USED_ONCE else used
        self._latest = max(self._latest, int(nonce[:8], 16))
        return True

    def _turn(self, now: float) -> None:
        self._old, self._young = self._young, {}
        self._latest_of_old, self._latest = self._latest, 0
        self._turned_at = now
