"""Compression: which responses are in gzip, and that the content stays the same."""

import gzip
import zlib

import pytest

from sip.store.bans import Ban
from webadmin.http import static_files
from webadmin.http.compression import MIN_BYTES, accepts_gzip, compressed

STYLES = "/static/admin.css"
GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("br;q=1.0, *;q=0.1", True),
        ("gzip; q=0.001", True),
        ("identity;q=0, gzip", True),
        ("gzip;q=1, identity;q=1", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=nan", False),
        ("gzip;q=2", False),
        ("gzip;q=-1", False),
        ("gzip;q=", False),
        ("notgzip, gzipper", False),
        (",;,;q=1", False),
    ],
)
def test_accept_encoding_decides_on_gzip(header, accepted):
    """RFC 9110 §12.5.3."""
    assert accepts_gzip(header) == accepted


def test_a_page_is_compressed(browser, context):
    for number in range(50):
        context.users.add(f"user{number}", "secret")
    plain = browser.get("/users")
    packed = browser.get("/users", **GZIP)
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding, Accept-Language"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body) / 5
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/login", "/users/new", "/no/such/page", STYLES])
def test_a_head_is_that_of_the_page(browser, path):
    """RFC 9110 §9.3.2: the same fields as for GET, length included, and no body."""
    for headers in ({}, GZIP):
        head = browser.send("HEAD", path, b"", headers)
        whole = browser.send("GET", path, b"", headers)
        assert head.body == b""
        assert (head.status, head.headers) == (whole.status, whole.headers)


def test_little_is_not_compressed(browser):
    """One packet holds it either way."""
    for path in ("/healthz", "/static/favicon.svg"):
        answer = browser.get(path, **GZIP)
        assert "content-encoding" not in answer.headers
        assert len(answer.body) < MIN_BYTES


@pytest.mark.parametrize("site_of", ["same-site", "cross-site", "x"])
def test_a_page_requested_by_another_site_is_not_compressed(browser, site_of):
    """With text of an attacker beside a secret, the length would reveal the secret (BREACH)."""
    answer = browser.get("/users?q=guess", **GZIP, Sec_Fetch_Site=site_of)
    assert answer.status == 200
    assert "content-encoding" not in answer.headers
    for own in ("same-origin", "none"):
        answer = browser.get("/users?q=guess", **GZIP, Sec_Fetch_Site=own)
        assert answer.headers["content-encoding"] == "gzip"


def test_a_page_with_a_secret_is_not_compressed(browser, context):
    """Nor by a proxy before us: it is told not to."""
    answer = browser.post("/users/new", username="alice", how="make")
    shown = browser.get(answer.location, **GZIP)
    assert "shown only now" in shown.words
    number = context.users.find("alice", "example.com").id
    for page in (shown, browser.get(f"/users/{number}/hashes", **GZIP)):
        assert "content-encoding" not in page.headers
        assert page.headers["cache-control"] == "no-store, no-transform"
    assert browser.get(answer.location, **GZIP).headers["content-encoding"] == "gzip"


def test_an_export_is_compressed_as_it_comes(browser, context):
    for number in range(1200):
        context.users.add(f"user{number}", "secret", display_name="Room")
    plain = browser.get("/users/export.csv")
    packed = browser.get("/users/export.csv", **GZIP)
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-length" not in packed.headers
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3


def test_a_large_page_is_compressed_by_a_thread(browser, context, monkeypatch):
    """More of it than of any page would keep phones waiting."""
    for number in range(2000):
        address = f"192.0.{number // 250}.{number % 250}"
        context.bans.save(Ban(address, "guessed passwords", int(context.clock()), 2_000_000_000, 1))
    threads = []

    class Pool:
        def apply(self, function, arguments):
            threads.append(function.__name__)
            return function(*arguments)

    hub = type("Hub", (), {"threadpool": Pool()})
    monkeypatch.setattr("webadmin.http.compression.gevent.get_hub", lambda: hub)
    answer = browser.get("/trouble", **GZIP)
    assert threads == ["gzipped"]
    assert b"192.0.7.249" in gzip.decompress(answer.body)


def test_an_answer_that_is_given_up_ends_its_source():
    """The reader has gone in the middle of an export."""
    closed = []

    class Source:
        def __iter__(self):
            return iter([b"x" * 1000] * 3)

        def close(self):
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/csv")])
        return Source()

    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": "gzip"}
    body = compressed(app)(environ, lambda *_: None)
    next(iter(body), None)
    body.close()
    assert closed == [True]
    environ["REQUEST_METHOD"] = "HEAD"
    assert compressed(app)(environ, lambda *_: None) == []
    assert closed == [True, True]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", [("Content-Type", "text/event-stream")]),
        ("200 OK", [("Content-Type", "image/png")]),
        ("206 Partial Content", [("Content-Type", "text/html")]),
        ("304 Not Modified", [("Content-Type", "text/html")]),
        ("200 OK", [("Content-Type", "text/html"), ("Content-Encoding", "br")]),
        ("200 OK", [("Content-Type", "text/html"), ("ETag", '"x"')]),
    ],
)
def test_responses_other_than_whole_text_stay_uncompressed(status, headers):
    body = [b"x" * 5000]

    def app(environ, start_response):
        start_response(status, headers)
        return body

    heads = []
    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": "gzip"}
    assert compressed(app)(environ, lambda *head: heads.append(head)) is body
    assert heads == [(status, headers, None)]


# Static files


def test_a_file_is_compressed_once_and_has_two_tags(stranger):
    """RFC 9110 §8.8.3.3: each representation has a tag of its own."""
    plain, packed = stranger.get(STYLES), stranger.get(STYLES, **GZIP)
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.headers["etag"] != packed.headers["etag"]
    assert packed.body is static_files._FILES["admin.css"].packed, "made before it was asked for"


def test_a_file_that_a_browser_has_is_not_sent_again(stranger):
    """RFC 9110 §13.1.2, §13.1.3."""
    for headers in ({}, GZIP):
        first = stranger.get(f"{STYLES}?v=1", **headers)
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = stranger.get(f"{STYLES}?v=1", **headers, If_None_Match=known)
            assert (again.status, again.body) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers["vary"] == "Accept-Encoding"
            assert "immutable" in again.headers["cache-control"]
        since = first.headers["last-modified"]
        assert stranger.get(STYLES, **headers, If_Modified_Since=since).status == 304
        newer = {"If-Modified-Since": since, "If-None-Match": '"another"'}
        assert stranger.get(STYLES, **headers, **newer).status == 200, "the tag decides"
    other = stranger.get(STYLES).headers["etag"]
    assert stranger.get(STYLES, **GZIP, If_None_Match=other).status == 200


def test_a_part_of_a_file_is_of_the_file_as_it_is(stranger):
    """RFC 9110 §14.2, §13.1.5: no part is of the gzip, and none goes on from it."""
    whole, packed = stranger.get(STYLES), stranger.get(STYLES, **GZIP)
    for headers in ({}, GZIP):
        part = stranger.get(STYLES, **headers, Range="bytes=10-19")
        assert (part.status, part.body) == (206, whole.body[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(whole.body)}"
        assert part.headers["etag"] == whole.headers["etag"]
        assert "content-encoding" not in part.headers
        known = {"Range": "bytes=10-", "If-Range": whole.headers["etag"]}
        assert stranger.get(STYLES, **headers, **known).body == whole.body[10:]
        other = {"Range": "bytes=10-", "If-Range": packed.headers["etag"]}
        assert stranger.get(STYLES, **headers, **other).status == 200
        assert stranger.get(STYLES, **headers, Range="bytes=999999-").status == 416
        for ignored in ("lines=1-2", "bytes=0-1,5-6"):
            assert stranger.get(STYLES, **headers, Range=ignored).status == 200
    head = stranger.send("HEAD", STYLES, b"", {"Range": "bytes=0-1"})
    assert (head.status, head.headers["content-length"]) == (200, str(len(whole.body)))


def test_a_compressed_file_is_the_same_at_each_start():
    """It holds no moment, so the tag tells the truth."""
    body = static_files._FILES["admin.css"]
    assert body.packed == static_files._read(static_files.STATIC / "admin.css").packed
    assert zlib.decompress(body.packed, 16 + zlib.MAX_WBITS) == body.body
