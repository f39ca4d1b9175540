"""Suggestions for misspelled names: "did you mean …?"."""

import difflib
from collections.abc import Sequence


def nearest(name: str, known: Sequence[str]) -> str:
    """Return "; did you mean NAME?" with the known name most similar to `name`, or ""."""
    guess = similar(name, known)
    return f"; did you mean {guess}?" if guess else ""


def similar(name: str, known: Sequence[str]) -> str:
    """Return the name in `known` that is most similar to `name`; "" if none is similar."""
    guesses = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return guesses[0] if guesses else ""
