"""An administrator of a running server: signs in and uses the web admin over plain HTTP."""

import http.client
import re
import uuid
from urllib.parse import urlencode

from tests.support.programs import until
from tests.support.server import Server


class Admin:
    """An HTTP client that signs in and uses the pages of a running server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.cookie = ""

    def asks(self, method: str, path: str, body: bytes = b"", kind: str = "") -> tuple[int, str]:
        """Send one request; gives the status and the page, or where a redirect leads."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.web_port, timeout=30)
        headers = {"Accept": "text/html", "Origin": self.server.web_url, "Cookie": self.cookie}
        if kind:
            headers["Content-Type"] = kind
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            if cookie := answer.headers["Set-Cookie"]:
                self.cookie = cookie.partition(";")[0]
            page = answer.read().decode("utf-8-sig", "replace")  # a backup is no text
            return answer.status, answer.headers["Location"] or page
        finally:
            connection.close()

    def reads(self, path: str) -> str:
        status, page = self.asks("GET", path)
        assert status == 200, (path, status, page)
        return page

    def sends(self, path: str, /, **fields: str) -> str:
        """Send a form, and give where that leads."""
        kind = "application/x-www-form-urlencoded"
        status, place = self.asks("POST", path, urlencode(fields).encode(), kind)
        assert status == 303, (path, status, place)
        return place

    def signs_in(self, password: str) -> bool:
        kind = "application/x-www-form-urlencoded"
        form = urlencode({"username": "admin", "password": password})
        return self.asks("POST", "/login", form.encode(), kind)[0] == 303

    def is_signed_in(self) -> bool:
        return self.asks("GET", "/")[0] == 200

    def imports(self, rows: str, **boxes: str) -> str:
        """Upload a file, and apply it once it has been looked at; gives the last page."""
        boundary = uuid.uuid4().hex
        ticked = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in boxes.items()
        )
        body = (
            f"{ticked}"
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="users.csv"\r\n'
            f"Content-Type: text/csv\r\n\r\n{rows}\r\n--{boundary}--\r\n"
        ).encode()
        status, _ = self.asks(
            "POST", "/users/import", body, f"multipart/form-data; boundary={boundary}"
        )
        assert status == 303
        self.waits_for("Nothing is written yet.")
        (number,) = set(re.findall(r'name="number" value="(\d+)"', self.reads("/users/import")))
        self.sends("/users/import/apply", number=number)
        return self.waits_for("Imported:")

    def waits_for(self, words: str) -> str:
        page = ""

        def shown() -> bool:
            nonlocal page
            page = self.reads("/users/import")
            assert "Nothing was imported" not in page, re.sub("<[^>]*>", " ", page)
            return words in page

        until(shown, f"the import page says {words!r}", seconds=60)
        return page

    def takes_passwords(self) -> str:
        """Download the generated passwords of an import that was applied."""
        (number,) = set(re.findall(r'name="number" value="(\d+)"', self.reads("/users/import")))
        kind = "application/x-www-form-urlencoded"
        body = urlencode({"number": number}).encode()
        status, sheet = self.asks("POST", "/users/import/passwords.csv", body, kind)
        assert status == 200, sheet
        return sheet
