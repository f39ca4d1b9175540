"""Unguessable tokens for branches, tags and nonces (RFC 3261 §8.1.1.7, §19.3)."""

import os

_SECRET = os.urandom(8)
FINGERPRINT_LENGTH = 16


def fingerprint(*texts: str) -> str:
    """Return 16 hexadecimal digits that depend on `texts` and on a secret of this process.

    They identify a response or request that was sent without a transaction.  They change when the
    server is restarted, which does no harm.
    """
    return format(hash((_SECRET, *texts)) & (2**64 - 1), "016x")


class Tokens:
    """A generator of random tokens, 64 bits each as 16 hexadecimal digits.

    It reads random numbers from the system in bulk: one system call for each token would cost more
    than the rest of a response.
    """

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def __call__(self) -> str:
        if not self._drawn:
            digits = os.urandom(8 * 512).hex()
            self._drawn = [digits[at : at + 16] for at in range(0, len(digits), 16)]
        return self._drawn.pop()
