"""The API of a running server, tried by schemathesis, which reads its OpenAPI document."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Server

pytestmark = pytest.mark.wire

# The HTTP server refuses a path of more than 64 kB with 414.
SETTINGS = """
[checks]
negative_data_rejection.expected-statuses = [
    400, 401, 403, 404, 405, 409, 411, 413, 414, 415, 422, 429, 503
]
"""


@pytest.mark.timeout(300)
def test_schemathesis_finds_no_undescribed_answer(server: Server):
    """Each operation answers as the document says, and never with 500."""
    token = server.does("tokens", "add", "schemathesis", "--role", "admin").strip()
    schemathesis = Path(sys.executable).with_name("schemathesis")
    # A rule that a JSON schema cannot say may refuse a value that fits it: a name with a blank.
    command = [
        *(str(schemathesis), "run", f"{server.web_url}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {token}"),
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
        *("--max-examples", "20", "--seed", "1", "--no-color"),
    ]
    (server.home / "schemathesis.toml").write_text(SETTINGS)
    result = subprocess.run(
        command, cwd=server.home, capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, result.stdout
