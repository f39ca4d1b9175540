"""A form that was sent after its session had ended, saved until the user has signed in again.

It is saved in hidden fields of the sign-in page, so an unknown client uses no memory of the server.
Passwords are left out: another person may sit at the browser.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from bottle import request

from webadmin.context import form_value

# Largest form that is saved, in octets; the form of a user has a few hundred.
MAX_SAVED_BYTES = 8000

_SECRETS = ("password", "current", "again", "code")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class SavedForm:
    """The path and the fields of a form; passwords are left out."""

    path: str
    fields: tuple[tuple[str, str], ...]
    lacks_password: bool = False

    @property
    def text(self) -> str:
        """The fields, for a hidden field of the sign-in page."""
        return urlencode(self.fields)


def local_path(text: str) -> str:
    """Return `text` if it is a path of this server, else "": no redirect may leave this server."""
    local = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if local else ""


def posted_form() -> SavedForm | None:
    """Return the form of the current request; None if it cannot be saved."""
    if not request.environ.get("CONTENT_TYPE", "").startswith(_FORM):
        return None  # an upload: no page can choose a file for the user
    if request.content_length > MAX_SAVED_BYTES:
        return None
    pairs = _fields(request.body.read(MAX_SAVED_BYTES).decode("utf-8", "replace"))
    fields = tuple(pair for pair in pairs if pair[0] not in _SECRETS)
    return SavedForm(full_path(request.environ), fields, lacks_password=len(fields) < len(pairs))


def saved_form() -> SavedForm | None:
    """Return the form that the sign-in page has saved; None if there is none."""
    path, text = local_path(form_value("kept_path")), form_value("kept_form")
    if not path or len(text) > MAX_SAVED_BYTES:
        return None
    lacks_password = form_value("kept_lacks") == "password"
    return SavedForm(path, tuple(_fields(text)), lacks_password=lacks_password)


def page_of_form() -> str:
    """Return the path of the page that has sent the current request; "" if it is unknown."""
    for name in ("HX-Current-URL", "Referer"):
        try:
            url = urlsplit(request.headers.get(name, ""))
        except ValueError:
            continue
        if url.netloc and url.netloc.lower() == request.headers.get("Host", "").lower():
            return local_path(url.path + (f"?{url.query}" if url.query else ""))
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
