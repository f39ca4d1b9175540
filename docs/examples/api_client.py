"""A client of the API: adds users from the command line, lists all, and prints events.

SERVER=http://127.0.0.1:8080 TOKEN=sipserver_… python api_client.py alice bob
"""

import json
import os
import sys
from collections.abc import Iterator
from urllib.parse import urlencode
from urllib.request import Request, urlopen

API = os.environ["SERVER"] + "/api/v1"
HEADERS = {"Authorization": "Bearer " + os.environ["TOKEN"], "Content-Type": "application/json"}


def send(method: str, path: str, value: object = None) -> dict:
    """Send a request.  Raises urllib.error.HTTPError; its body has the details of the problem."""
    body = None if value is None else json.dumps(value).encode()
    with urlopen(Request(API + path, body, HEADERS, method=method), timeout=30) as response:
        return json.loads(response.read() or b"{}")


def items(path: str, **query: object) -> Iterator[dict]:
    """Read a list to its end, part by part."""
    part = {"next": ""}
    while part["next"] is not None:
        after = {"after": part["next"]} if part["next"] else {}
        part = send("GET", f"{path}?{urlencode(query | after)}")
        yield from part["items"]


for name in sys.argv[1:]:
    print(name, send("POST", "/users", {"username": name})["password"])
for user in items("/users", sort="username", limit=500):
    print(user["username"], "is online" if user["online"] else "is offline", flush=True)
with urlopen(Request(f"{API}/events?types=registered,call.ended", headers=HEADERS)) as events:
    for line in events:  # blank lines and heartbeats are left out
        if line.startswith(b"data: "):
            print(json.loads(line.removeprefix(b"data: ")), flush=True)
