"""The overview, its warnings and the settings for a phone, at their edges; and long work."""

import io
import re
import socket
import threading

import gevent
import pytest

from sip.addresses import Address, Advertised
from sip.config import Config
from sip.store.importing import import_accounts
from webadmin import phone_settings as phone
from webadmin import templates as pages
from webadmin.thread_pool import Workers
from webadmin.warnings import current_warnings

ROWS = b"username,ha1,realm\na,0123456789abcdef0123456789abcdef,%s\n"


def test_the_example_is_of_the_main_realm(browser):
    words = browser.get("/").words
    assert "here for the example user alice" in words
    assert "Realm, if the phone asks for it example.com" in words


def test_the_first_user_is_shown_with_the_realm_of_its_own(browser, context):
    context.users.add("carol", "secret", realm="branch.example")
    assert "Realm, if the phone asks for it branch.example" in browser.get("/").words


def test_the_page_that_one_is_on_is_marked(browser):
    for path in ("/", "/calls", "/users", "/audit", "/account"):
        marked = set(re.findall('<a href="([^"]*)" aria-current', browser.get(path).text))
        assert marked == {path}, "in the side bar and in the bar of a narrow screen"
    assert '<a href="/users" aria-current="page"' in browser.get("/users/import").text


def test_an_advertised_name_without_a_port_gets_the_sip_port(browser, context):
    context.config = Config(
        sip_realm="example.com",
        sip_advertise=Advertised("sip.example.net", None),
        sip_addr=Address(None, 5070),
    )
    assert "registrar sip.example.net:5070 Transport" in browser.get("/").words


@pytest.mark.parametrize("host", ["[::1", "[x]:1", "a b", '"><i x', "http://a", "[fe80::1%25x]:80"])
def test_a_host_that_is_none_breaks_no_page(browser, host):
    answer = browser.send("GET", "/", b"", {"Host": host})
    assert answer.status == 200
    assert "<i x" not in answer.text


class _Cut:
    """A socket on a machine that is connected to nothing."""

    def __init__(self, *_) -> None: ...
    def __enter__(self):
        return self

    def __exit__(self, *_) -> None: ...
    def connect(self, _) -> None:
        raise OSError("Network is unreachable")


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.2:8080", "127.0.0.2"), ("localhost", "localhost"), ("", "localhost")],
)
def test_without_a_network_the_requested_host_is_shown(browser, monkeypatch, host, shown):
    monkeypatch.setattr(phone.socket, "socket", _Cut)
    words = browser.send("GET", "/", b"", {"Host": host}).words
    assert f"registrar {shown} Transport" in words


def test_digest_warnings_come_per_realm_and_name_the_algorithms(context):
    realms = [b"z.test", b"a.test", b"m.test", b"k.test", b"b.test"]
    rows = b"username,ha1,realm\n" + b"".join(ROWS.splitlines()[1] % r + b"\n" for r in realms)
    import_accounts(context.users, io.BytesIO(rows))
    config = Config(sip_realm="example.com", sip_digest=("MD5", "SHA-256", "SHA-512-256"))
    warnings = [each.text for each in current_warnings(config, context.users)]
    assert [w.split(" realm ")[1].split(",")[0] for w in warnings] == sorted(
        r.decode() for r in realms
    )
    assert all(w.startswith("SHA-256 and SHA-512-256 cannot be offered") for w in warnings)


def test_healthz_is_text_for_programs(stranger):
    answer = stranger.get("/healthz", Accept="*/*")
    assert answer.headers["content-type"] == "text/plain; charset=UTF-8"


def test_templates_are_ready_before_the_first_page():
    """To read and compile one takes milliseconds, which a phone would wait for."""
    for template in pages._TEMPLATES.values():
        assert "co" in vars(template)
        assert set(pages._TEMPLATES) <= set(template.cache)


def test_a_file_is_hashed_once(monkeypatch):
    first = pages.static("admin.js")
    monkeypatch.setattr(pages, "STATIC", pages.VIEWS / "nowhere")
    assert pages.static("admin.js") == first


def test_one_long_work_leaves_room_for_another():
    """Reading a file takes seconds, and must not delay a sign-in."""
    workers, held = Workers(threads=2, most=40), threading.Event()
    long = gevent.spawn(workers.run, lambda: held.wait(20))
    gevent.idle()
    try:
        with gevent.Timeout(20):
            assert workers.run(lambda: 7) == 7
        assert not long.ready()
    finally:
        held.set()
        long.get(timeout=20)
        workers.close()


def test_a_killed_waiter_frees_its_place(monkeypatch):
    workers, held = Workers(threads=2, most=40), threading.Event()
    waiting = [gevent.spawn(workers.run, lambda: held.wait(20)) for _ in range(40)]
    gevent.idle()
    gevent.killall(waiting)
    held.set()
    try:
        assert workers.run(lambda: 7) == 7
    finally:
        workers.close()


def test_closing_ends_the_threads():
    before = threading.active_count()
    workers = Workers(threads=2, most=40)
    workers.run(socket.gethostname)
    pool = workers._pool
    workers.close()
    assert pool.size == 0
    assert threading.active_count() <= before + 1
