"""The web admin behind nginx, with the configuration of docs/operating.md."""

import http.client
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from sip.store.database import Database
from sip.store.desk_phones import DeskPhones
from tests.support.programs import REPOSITORY, end, free_port, program, start, tail, until
from tests.support.server import Server
from webadmin.sign_in_limits import MAX_TRIES

pytestmark = pytest.mark.wire

PASSWORD = "correct horse battery staple"
SECRET = "a-secret-path-of-this-server"
MAC = "001565aabbcc"
NGINX = """
daemon off; master_process off; error_log stderr; pid {home}/nginx.pid;
events {{}}
http {{
    access_log off;
    {temporary}
    {server}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that names its proxy, with a user and its desk phone."""
    server = Server(tmp_path / "server", "-web.proxies", "127.0.0.1")
    server.environment["SIPSERVER_ADMIN_PASSWORD"] = PASSWORD
    server.environment["SIPSERVER_PROVISION_SECRET"] = SECRET
    server.has_users("alice")
    with Database(str(server.database)) as database:
        DeskPhones(database).add(MAC, 1)
    server.start()
    yield server
    server.close()


@pytest.fixture
def port(server: Server, tmp_path: Path) -> Iterator[int]:
    """The port of nginx, as the manual sets it up, with a certificate of its own."""
    port, key, chain = free_port(socket.SOCK_STREAM), tmp_path / "key.pem", tmp_path / "chain.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=test", "-keyout", str(key), "-out", str(chain)),
        ],
        check=True,
        capture_output=True,
    )
    manual = (REPOSITORY / "docs/operating.md").read_text()
    block = re.search(r"```nginx\n(.*?)```", manual, re.DOTALL)[1]
    block = re.sub(r"listen 443", f"listen 127.0.0.1:{port}", block)
    block = re.sub(r"(ssl_certificate +)\S+;", rf"\1{chain};", block)
    block = re.sub(r"(ssl_certificate_key +)\S+;", rf"\1{key};", block)
    block = block.replace("127.0.0.1:8080", f"127.0.0.1:{server.web_port}")
    temporary = " ".join(f"{name}_temp_path {tmp_path}/{name};" for name in TEMPORARY)
    (tmp_path / "nginx.conf").write_text(
        NGINX.format(home=tmp_path, temporary=temporary, server=block)
    )
    output = tmp_path / "nginx.log"
    command = [program("nginx"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    nginx = start(command, output)
    try:
        until(lambda: _listens(port), f"nginx listens: {tail(output)}")
        yield port
    finally:
        end(nginx, signal.SIGTERM)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Answer(NamedTuple):
    """What nginx passes on of a response."""

    status: int
    cookie: str
    body: bytes


def ask(
    port: int, source: str, path: str, fields: dict[str, str] | None = None, **headers: str
) -> Answer:
    """Send a request from an address; with fields, a form."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=20, context=context, source_address=(source, 0)
    )
    body = urlencode(fields) if fields is not None else None
    if body is not None:
        headers |= {"Content-Type": "application/x-www-form-urlencoded"}
        headers |= {"Sec-Fetch-Site": "same-origin"}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(connection):
        connection.request("GET" if body is None else "POST", path, body, names)
        response = connection.getresponse()
        return Answer(response.status, response.headers["Set-Cookie"] or "", response.read())


def test_each_client_of_nginx_has_its_own_limit(server: Server, port: int):
    """A guesser behind it blocks itself; an address that it states is not believed."""
    wrong = {"username": "admin", "password": "guess"}
    for number in range(MAX_TRIES):
        stated = f"203.0.113.{number}"
        assert ask(port, "127.0.0.7", "/login", wrong, X_Forwarded_For=stated).status == 403
    assert ask(port, "127.0.0.7", "/login", wrong, X_Forwarded_For="203.0.113.99").status == 429
    right = {"username": "admin", "password": PASSWORD}
    answer = ask(port, "127.0.0.8", "/login", right)
    assert answer.status == 303
    assert "; Secure" in answer.cookie
    cookie = answer.cookie.partition(";")[0]
    assert b">127.0.0.8<" in ask(port, "127.0.0.8", "/account", Cookie=cookie).body
    assert "-web.proxies" not in server.log.read_text()


def test_a_desk_phone_behind_nginx_gets_its_file(server: Server, port: int):
    """Also after guesses from its address."""
    for number in range(MAX_TRIES + 1):
        guess = ask(port, "127.0.0.7", f"/provision/{'x' * 20}{number}/{MAC}.cfg")
    assert guess.status == 429
    answer = ask(port, "127.0.0.7", f"/provision/{SECRET}/{MAC}.cfg")
    assert (answer.status, b"alice" in answer.body) == (200, True)
