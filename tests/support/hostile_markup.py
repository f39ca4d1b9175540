"""A registration with markup in each field that the web admin shows."""

import re
from contextlib import closing

from tests.support.raw_tcp import TcpClient
from tests.support.server import Server

NASTY = "<script>alert(1)</script>"


QUOTES = "'\"><img src=x onerror=alert(1)>{{7*7}}"


CONTACT = (
    f'"{NASTY}" <sip:%3Cb%3E\'$&@127.0.0.1:5070;x=%22%3E%3Cscript%3Ealert(1)>'
    ';+sip.instance="<script>"'
)


def registers_nastily(server: Server) -> None:
    """Register as alice, with markup in every field that is shown somewhere."""
    with closing(TcpClient(server)) as line:
        line.says(line.request("REGISTER"))
        answer = line._answer("REGISTER", f"sip:{server.domain}", "alice")
        request = line.request("REGISTER", answer, f"User-Agent: {NASTY}{QUOTES}").decode()
        request = re.sub("Contact: [^\r]*", f"Contact: {CONTACT}", request)
        request = re.sub("From: <", f'From: "{NASTY}" <', request)
        request = re.sub("Call-ID: ", "Call-ID: <script>alert(1)</script>", request)
        line.says(request.encode())
        assert line.hears_status() == 200
