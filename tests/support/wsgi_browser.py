"""A simple browser that calls the WSGI application, with cookies and forms."""

import html
import io
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlencode, urlsplit
from wsgiref.validate import validator

HOST = "pbx.example.com:8080"
BOUNDARY = "----boundary-of-the-tests"


@dataclass
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """The visible text: without tags, words separated by one blank."""
        no_tags = re.sub(r"<[^>]*>", " ", self.text)
        return " ".join(html.unescape(no_tags).split())

    @property
    def location(self) -> str:
        """The path of a redirect."""
        parts = urlsplit(self.headers["location"])
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def value(self, name: str) -> str:
        """Return the value of a form field."""
        (tag,) = re.findall(
            rf'<input[^>]* name="{name}"[^>]*>', self.text.replace("<input", "<input ")
        )
        found = re.search(r' value="([^"]*)"', tag)
        return html.unescape(found[1]) if found else ""


@dataclass
class Browser:
    """A browser that calls one application."""

    app: object
    address: str = "192.0.2.7"
    cookies: dict[str, str] = field(default_factory=dict)
    cookie_lines: list[str] = field(default_factory=list)
    number: str = "1"  # of the last import that was seen
    own_site: dict[str, str] = field(default_factory=lambda: {"Sec-Fetch-Site": "same-origin"})

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, b"", headers)

    def post(self, path: str, /, **fields: str) -> Answer:
        """Send a form as the pages of the server do."""
        return self.post_pairs(path, [*fields.items()])

    def post_pairs(self, path: str, fields: list[tuple[str, str]]) -> Answer:
        """Send a form in which a name may be there several times."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self.own_site}
        return self.send("POST", path, urlencode(fields).encode(), headers)

    def upload(self, path: str, content: bytes, /, **fields: str) -> Answer:
        """Send a form with a file in it."""
        disposition = f"--{BOUNDARY}\r\nContent-Disposition: form-data"
        parts = [
            f'{disposition}; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        parts.append(
            f'{disposition}; name="file"; filename="users.csv"\r\n'
            "Content-Type: text/csv\r\n\r\n".encode()
            + content
            + b"\r\n"
        )
        body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **self.own_site}
        return self.send("POST", path, body, headers)

    def press(self, act: str) -> Answer:
        """Press `apply` or `cancel` on the import page, with the last number that it showed."""
        for number in re.findall(r'name="number" value="(\d+)"', self.get("/users/import").text):
            self.number = number
        return self.post(f"/users/import/{act}", number=self.number)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send any request; Cookie is added to the headers."""
        target = urlsplit(path)
        printed = io.StringIO()
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(target.path, "latin-1"),
            "QUERY_STRING": target.query,
            "SERVER_NAME": "pbx.example.com",
            "SERVER_PORT": "8080",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": HOST,
            "HTTP_ACCEPT": "text/html,*/*",
            "REMOTE_ADDR": self.address,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": printed,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if body or method == "POST":
            environ["CONTENT_LENGTH"] = str(len(body))
        if self.cookies:
            environ["HTTP_COOKIE"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        started: list = []

        def start(status: str, response_headers: list, exc_info: object = None):
            started[:] = [status, response_headers]
            return lambda data: None

        chunks = validator(self.app)(environ, start)
        try:
            content = b"".join(chunks)
        finally:
            chunks.close()
        status, lines = started
        for name, value in lines:
            if name.lower() == "set-cookie":
                self._take_cookie(value)
        assert "Traceback" not in printed.getvalue()
        return Answer(int(status[:3]), {k.lower(): v for k, v in lines}, content)

    def _take_cookie(self, line: str) -> None:
        self.cookie_lines.append(line)
        name, _, value = line.partition(";")[0].partition("=")
        if value.strip('"') and "Max-Age=-1" not in line and "max-age=-1" not in line:
            self.cookies[name] = value
        else:
            self.cookies.pop(name, None)
