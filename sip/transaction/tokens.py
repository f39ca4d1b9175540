"""Short texts that nobody outside can guess: branches, tags, nonces (RFC 3261 §8.1.1.7, §19.3)."""

import os

_SECRET = os.urandom(8)
FINGERPRINT_LENGTH = 16


def fingerprint(*texts: str) -> str:
    """Text that follows from texts: what was answered or passed on without memory is known by it.

    Python's hash is keyed anew at each start, which is all that is needed.
    """
    return format(hash((_SECRET, *texts)) & (2**64 - 1), "016x")


class Tokens:
    """Unguessable text for branches, tags and nonces, 64 bits each as 16 hexadecimal digits.

    Drawn from the system in bulk: a call for each would cost more than the rest of a response.
    """

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def __call__(self) -> str:
        if not self._drawn:
            digits = os.urandom(8 * 512).hex()
            self._drawn = [digits[at : at + 16] for at in range(0, len(digits), 16)]
        return self._drawn.pop()
