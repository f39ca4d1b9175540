"""Digest authentication: challenges, nonces and answers (RFC 3261 §22, RFC 7616, 8760, 2069).

Pure: the time, the secret and the source address are arguments.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace

from sip.message.cache import cached_parse
from sip.message.grammar import quote

# A nonce serves that long; then the phone gets a new one by stale=true, without asking its user.
NONCE_SECONDS = 300.0
# Nonces with counts that are remembered.  A phone keeps one for its life, so this is the number of
# phones that may be authenticating at one time; each costs about 130 bytes.
MAX_COUNTED_NONCES = 100_000
# How far a nonce-count may lag behind the highest seen, as when datagrams overtake each other.
COUNT_WINDOW = 64
# RFC 2069 has no count: such an answer uses its nonce up, so no count of eight digits may be within
# the window below this.
ONCE = 2**32 + COUNT_WINDOW
_WHOLE_WINDOW = 2**COUNT_WINDOW - 1
_USED_ONCE = 1 << COUNT_WINDOW | 1  # as most nonces are: one object for all of them

_HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
}
ALGORITHMS = tuple(_HASHES)
_HEX = frozenset("0123456789abcdefABCDEF")
_LONGEST_CACHED = 100


@dataclass(slots=True)
class Answer:
    """The digest parameters of an Authorization value that an answer is computed from.

    `qop` is "" where the client follows RFC 2069; `count` is the text of nc.  `written` is the
    username as it came, where the account of that user has it in another form.
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


def read_answer(params: dict[str, str]) -> Answer | str:
    """Take the parameters apart; a sentence says what is wrong with them."""
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
    if answer.algorithm not in _HASHES:
        return f"the algorithm {answer.algorithm[:20]} is not offered"
    if "username*" in params or get("userhash", "").lower() == "true":
        return "the username is hashed or encoded, which was not asked for"
    if not answer.qop:
        return answer
    if answer.qop.lower() != "auth":
        return f"the qop {answer.qop[:20]} is not offered"
    if len(answer.count) != 8 or not _HEX.issuperset(answer.count) or not answer.cnonce:
        return "qop without an eight-digit nc, or without cnonce"
    return answer


def _canonical(algorithm: str | None) -> str:
    """RFC 7616 §3.4: MD5 where nothing is said; names compare without regard to case."""
    return algorithm.upper() if algorithm else "MD5"


def ha1_of(algorithm: str, username: str, realm: str, password: str) -> str:
    """What a password becomes in one realm (RFC 7616 §3.4.2)."""
    return _HASHES[algorithm](f"{username}:{realm}:{password}".encode("utf-8", "surrogateescape"))


def expected_response(ha1: str, method: str, answer: Answer) -> str:
    """Compute the response that the holder of `ha1` gives (RFC 7616 §3.4.1, RFC 2069 §2.1.2)."""
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


_cached_ha2 = cached_parse(1024)(_ha2)  # all phones register with the same


def is_right(ha1: str, method: str, answer: Answer) -> bool:
    """Compare an answer with the right one, in the same time whether it is right or wrong.

    Without qop it follows RFC 2069; one with a cnonce all the same may mean `auth`, which is what
    no qop stands for since RFC 8760 §2.6, item 8.
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
    return f'Digest realm={quote(realm)}, nonce="{nonce}", algorithm={algorithm}, qop="auth"{tail}'


class Nonces:
    """Makes nonces that prove themselves, and remembers which counts were used.

    `secret` must be new at each start, since the counts are: else what was used could be again.
    A nonce is the time, a unique part, and a MAC over both and the address it was given to;
    so none is remembered before somebody who knows a password has used it.  Counts are kept in
    two halves, and the older one goes as a whole: when all in it have expired, or when there are
    too many, and then with it every nonce that is not younger: rather one round trip more than a
    replay.
    """

    def __init__(self, secret: bytes, new_token: Callable[[], str]) -> None:
        self._secret = secret
        self._new_token = new_token
        # From the unique part to the highest count, above a window of those seen.
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._turned_at = 0.0
        self._latest = self._latest_of_old = 0  # when the youngest nonce of each was made
        self._oldest_valid = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def make(self, now: float, source: str) -> str:
        """A nonce for the peer at the address `source`."""
        head = format(int(now), "08x") + self._new_token()
        return head + self._mac(head, source)

    def _mac(self, head: str, source: str) -> str:
        text = f"{head} {source}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(text, digest_size=8, key=self._secret).hexdigest()

    def is_ours(self, nonce: str, source: str) -> bool:
        """Tell whether we made the nonce, for that address; it may be old."""
        if len(nonce) != 40 or not nonce.isascii():
            return False
        return hmac.compare_digest(self._mac(nonce[:24], source), nonce[24:])

    def is_fresh(self, nonce: str, now: float) -> bool:
        """Tell whether a nonce of ours may still be used."""
        made_at = int(nonce[:8], 16)
        return self._oldest_valid <= made_at <= now <= made_at + NONCE_SECONDS

    def is_usable(self, nonce: str, now: float) -> bool:
        """Return True while a right answer to a nonce of ours would be taken.

        An answer without a count has used its nonce up (RFC 2069).
        """
        key = int(nonce[8:24], 16)
        used = self._young.get(key) or self._old.get(key, 0)
        return used >> COUNT_WINDOW < ONCE and self.is_fresh(nonce, now)

    def use(self, nonce: str, count: int, now: float) -> bool:
        """Use up one count of a nonce.  False: it was used before, or lags too far behind."""
        key = int(nonce[8:24], 16)
        used = self._young.get(key) or self._old.get(key, 0)
        highest, seen = used >> COUNT_WINDOW, used & _WHOLE_WINDOW
        if count > highest:
            seen = (seen << min(count - highest, COUNT_WINDOW) | 1) & _WHOLE_WINDOW
            highest = count
        else:
            behind = highest - count  # looked at first: 1 << 2**32 would be half a gigabyte
            if count < 1 or behind >= COUNT_WINDOW or seen >> behind & 1:
                return False
            seen |= 1 << behind
        if len(self._young) >= MAX_COUNTED_NONCES // 2:
            self._oldest_valid = max(self._oldest_valid, self._latest_of_old + 1)
            self._turn(now)
        elif now - self._turned_at > NONCE_SECONDS + 1:
            self._turn(now)  # what was used before the last turn is older than that
        used = highest << COUNT_WINDOW | seen
        self._young[key] = _USED_ONCE if used == _USED_ONCE else used
        self._latest = max(self._latest, int(nonce[:8], 16))
        return True

    def _turn(self, now: float) -> None:
        self._old, self._young = self._young, {}
        self._latest_of_old, self._latest = self._latest, 0
        self._turned_at = now
