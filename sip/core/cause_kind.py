"""One kind of cause: its key, its clause and its cure, with places for values."""

from typing import Final

from sip.core.errors import Cause

# Longest value in a cause, in characters: a peer chooses it.
MAX_VALUE = 60


class CauseKind:
    """One kind of cause.  `{name}` in the clause and in the cure stands for a value."""

    def __init__(self, code: str, text: str, cure: str) -> None:
        self.code: Final = code
        self.text: Final = text
        self.cure: Final = cure
        # The only cause of this kind, if it has no values.
        self._fixed: Final = None if "{" in text + cure else Cause(code, text, cure)

    def of(self, **values: str) -> Cause:
        """Return the cause with these values, each cut to 60 characters."""
        if self._fixed is not None:
            return self._fixed
        short = {name: value[:MAX_VALUE] for name, value in values.items()}
        return Cause(self.code, self.text.format_map(short), self.cure.format_map(short))
