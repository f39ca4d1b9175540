"""A form that was sent after its session had ended: it is kept until one has signed in again.

It travels in the sign-in page itself, so nothing of a stranger is held in memory.  Passwords do
not: somebody else may sit before that page.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from bottle import request

from webadmin.context import typed

# Octets of a form that is kept; the fields of a user are some hundred.
MAX_KEPT_BYTES = 8000

_SECRETS = ("password", "current", "again")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class KeptForm:
    """What was sent, and where to."""

    path: str
    fields: tuple[tuple[str, str], ...]
    lacks_password: bool = False

    @property
    def text(self) -> str:
        """The fields, for a hidden field of the sign-in page."""
        return urlencode(self.fields)


def own_path(text: str) -> str:
    """Return `text` where it is a path of this server, else "": an address elsewhere is a trap."""
    own = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if own else ""


def sent_form() -> KeptForm | None:
    """Return the form that the request at hand has sent; None for one that cannot be kept."""
    if not request.environ.get("CONTENT_TYPE", "").startswith(_FORM):
        return None  # an upload: a browser lets no page choose a file
    if request.content_length > MAX_KEPT_BYTES:
        return None
    pairs = _fields(request.body.read(MAX_KEPT_BYTES).decode("utf-8", "replace"))
    fields = tuple(pair for pair in pairs if pair[0] not in _SECRETS)
    return KeptForm(full_path(request.environ), fields, lacks_password=len(fields) < len(pairs))


def typed_form() -> KeptForm | None:
    """Return the form that the sign-in page has kept; None for no form."""
    path, text = own_path(typed("kept_path")), typed("kept_form")
    if not path or len(text) > MAX_KEPT_BYTES:
        return None
    return KeptForm(path, tuple(_fields(text)), lacks_password=typed("kept_lacks") == "password")


def page_of_form() -> str:
    """Return the path of the page that a form was sent from, or a part asked for; may be ""."""
    for name in ("HX-Current-URL", "Referer"):
        try:
            url = urlsplit(request.headers.get(name, ""))
        except ValueError:
            continue
        if url.netloc and url.netloc.lower() == request.headers.get("Host", "").lower():
            return own_path(url.path + (f"?{url.query}" if url.query else ""))
    return ""


def full_path(environ: dict[str, Any]) -> str:
    """Return the path of a request with its query."""
    query = environ.get("QUERY_STRING", "")
    return str(request.path) + (f"?{query}" if query else "")


def _fields(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return []
