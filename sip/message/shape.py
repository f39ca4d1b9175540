"""The shape of a message: the names of its header fields, and what follows from them alone.

A phone sends its fields in the same order in each message of a kind, and so do all phones of its
model.  A shape is found once for all of them: where each field is, and whether a field is missing
or occurs twice.

Shapes are shared and never change.  The latest 1024 are cached, at most 7 kB each, and so are the
latest edits of them.  A sender of ever new orders uses no more memory, and it does not evict the
shapes of phones, because these are used more often.
"""

import re

from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage
from sip.message.names import SINGLE, field_name, title_of, with_folds

MANDATORY = ("via", "from", "to", "call-id", "cseq")
_COPIED = frozenset(MANDATORY)  # the same fields are copied into each response (§8.2.6.2)
# Maximum fields of a cached shape, and characters of their names; a desk phone has 20 and 250.
_MOST_CACHED = 48
_LONGEST_CACHED = 640
# The name of each field as written, with its colon; a fold may be found, too.
_SPELLED_NAMES = re.compile(r"\r\n([^:\r]*+:)")


class Shape:
    """The long names of all header fields in lower case, in order.

    `present` has each name once, with the position of its first field.  `copied` are the positions
    of the fields that a response copies.  `fault` is the reason why no message can have this shape:
    a mandatory field is missing, or a field occurs twice (§8.1.1, §20); "" if there is none.
    """

    __slots__ = ("_is_cacheable", "copied", "fault", "names", "present")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.present: dict[str, int] = {}
        for at, name in enumerate(names):
            self.present.setdefault(name, at)
        self.copied = [at for at, name in enumerate(names) if name in _COPIED]
        self.fault = _fault(names, self.present)
        self._is_cacheable = len(names) <= _MOST_CACHED and sum(map(len, names)) <= _LONGEST_CACHED

    def inserted(self, at: int, name: str) -> "Shape":
        """Return the shape with one more name, at position `at`."""
        return (_cached_insert if self._is_cacheable else _insert)(self, at, name)

    def without(self, at: int) -> "Shape":
        """Return the shape without the name at position `at`."""
        return (_cached_delete if self._is_cacheable else _delete)(self, at)

    def renamed(self, names: tuple[str, ...]) -> "Shape":
        """Return the shape with these names, which are those of this one after an edit."""
        return shape_of(names) if self._is_cacheable else Shape(names)


def _insert(shape: Shape, at: int, name: str) -> Shape:
    return Shape((*shape.names[:at], name, *shape.names[at:]))


def _delete(shape: Shape, at: int) -> Shape:
    return Shape((*shape.names[:at], *shape.names[at + 1 :]))


# The few edits of this server, at the positions that the shapes of phones have.
_cached_insert = cached_parse(1024)(_insert)
_cached_delete = cached_parse(1024)(_delete)


@cached_parse(1024)
def shape_of(names: tuple[str, ...]) -> Shape:
    """Return the shape with these names, which must be few and short: it is cached."""
    return Shape(names)


def _fault(names: tuple[str, ...], present: dict[str, int]) -> str:
    for name in MANDATORY:
        if name not in present:
            return f"Missing {title_of(name)} header field"
    if len(present) != len(names):
        for at, name in enumerate(names):
            if name in SINGLE and present[name] != at:
                return f"More than one {title_of(name)} header field"
    return ""


def read_shape(head: str, lines: list[str]) -> tuple[Shape, list[str]]:
    """Return the shape of a head, and its fields; the lines of a folded field are joined.

    `lines` are the lines of `head` after the first.  Raises BadMessage for a line that is not a
    header field.
    """
    spelled = "".join(_SPELLED_NAMES.findall(head))
    if len(spelled) <= _LONGEST_CACHED:
        shape = _shape_of_spelled(spelled)
        # A line without a colon has no name, and then there are fewer names than lines.
        if shape is not None and len(shape.names) == len(lines):
            return shape, lines
    if any(line[:1] in (" ", "\t") for line in lines):
        lines = with_folds(lines)
    return Shape(tuple([field_name(line) for line in lines])), lines


@cached_parse(1024)
def _shape_of_spelled(spelled: str) -> Shape | None:
    """Return the shape of names as written, each with its colon; None if one is not a name."""
    spellings = spelled.split(":")[:-1]
    if len(spellings) > _MOST_CACHED:
        return None
    try:
        return Shape(tuple([field_name(spelling + ":") for spelling in spellings]))
    except BadMessage:
        return None
