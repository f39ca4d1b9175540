"""Memory after a rush: when it can be given back to the system, and how."""

import ctypes

# Transactions held at a time that are a rush: they take a few megabytes.
RUSH = 1000


class Rush:
    """Notices when most of what a rush has brought is over."""

    def __init__(self) -> None:
        self._most = 0  # transactions, since the last was over

    def is_over(self, held: int) -> bool:
        """Tell, by how many transactions are held now, whether one has just come to its end."""
        self._most = max(self._most, held)
        if self._most <= RUSH or held >= self._most // 4:
            return False
        self._most = held
        return True


def give_back() -> None:
    """Give free memory back; the C library keeps it else.  Takes milliseconds, without the GIL."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)
