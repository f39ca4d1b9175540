"""docs/api.md and the page /api: every operation is there, and each example works."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.filled_context import CALL_ID
from tests.support.past_calls import past_call, write_calls
from webadmin.api.operations import PREFIX

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("curl ")
]
ROWS = b"username,password\nyan,wonder-4711\nzoe,wonder-4712\n"


def parsed(command: str) -> tuple[str, str, dict[str, str], str]:
    """Return method, path, header fields and body of a curl command."""
    words, method, headers, body, url = iter(shlex.split(command)[1:]), "GET", {}, "", ""
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            body = next(words)
        elif word != "-N":
            url = word
    assert url.startswith(f"$SERVER{PREFIX}/"), command
    return method, url.removeprefix(f"$SERVER{PREFIX}"), headers, body


def template(path: str) -> str:
    """Return a path with `{}` in place of each value."""
    path = path.partition("?")[0]
    path = re.sub(r"(/(?:bans|trusted|traces)/)(?:\$\w+|[0-9./]+\d)", r"\1{}", path)
    return re.sub(r"/(?:\d+|\$\w+)(?=/|$)", "/{}", path)


def test_the_page_shows_every_operation(outsider):
    document = json.loads(outsider.get("/openapi.json").body)
    operations = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert {(method, template(path)) for method, path, *_ in map(parsed, COMMANDS)} == operations


def test_each_curl_command_of_the_page_works(api, context, clock, filled, bound):
    context.users.add("alice", "secret")
    bound(context.users.add("bob", "secret"))
    write_calls(context.users.database, [past_call(clock.now - 60)])
    call = filled.starts_call()
    for make in (filled.passes_message, filled.refuses, filled.has_to_wait, filled.bans):
        make()
    values = {
        "REGISTRATION": context.registrations.page().registrations[0].id,
        "CALL": str(call),
        "CALL_ID": quote(CALL_ID, safe=""),
        "WAIT": str(context.guard.waits().waits[0].id),
    }
    for command in COMMANDS:
        method, path, headers, body = parsed(command)
        path = re.sub(r"\$(\w+)", lambda found: values[found[1]], path)
        if path.startswith("/events"):
            continue  # it does not end: see test_events.py
        content = ROWS if body == "@users.csv" else body.encode()
        answer = api.send(method, path, content, headers.get("Content-Type", ""))
        assert answer.status < 300, (command, answer.text)
    assert context.users.find("zoe", "example.com")


@pytest.mark.parametrize("path", ["/api", "/settings"])
def test_the_documentation_needs_a_session(stranger, path):
    assert stranger.get(path).status == 303


def test_the_page_of_the_api_is_drawn_from_the_document(browser, outsider):
    assert 'href="/api"' in browser.get("/settings").text
    page = browser.get("/api")
    document = json.loads(outsider.get("/openapi.json").body)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {PREFIX}{path} {operation['summary']}" in page.words
            for parameter in operation.get("parameters", ()):
                assert f"<code>{parameter['name']}</code>" in page.text
    words = page.words
    assert "display_name string, at most " in words
    assert "items[].from.user_id integer or null" in words
    assert "limit integer, 1 to 500; default 50" in words
    assert "types list: one of banned, call.answered, call.ended" in words
    assert "429 Too many wrong tokens came from this address." in words
    assert "curl -X POST -H" in words
    assert "src=" not in page.text.replace('src="/static/', "")
