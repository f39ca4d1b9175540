"""Suggestions: what a word was meant to be that is not known here."""

import difflib
from collections.abc import Sequence


def nearest(name: str, known: Sequence[str]) -> str:
    """Put a guess at what was meant into words, ready to follow a sentence; may be empty."""
    guess = similar(name, known)
    return f"; did you mean {guess}?" if guess else ""


def similar(name: str, known: Sequence[str]) -> str:
    """Return the one of `known` that is most like `name`; "" where none is."""
    guesses = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return guesses[0] if guesses else ""
