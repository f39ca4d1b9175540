"""Fixtures: a program with a token of each role, and one without a token."""

import pytest

from sip.store.tokens import Role
from tests.support.api_client import ApiClient
from tests.support.filled_context import FilledContext


@pytest.fixture
def api(context, stranger) -> ApiClient:
    return ApiClient(stranger, context.tokens.add("api", Role.ADMIN))


@pytest.fixture
def viewer(context, stranger) -> ApiClient:
    return ApiClient(stranger, context.tokens.add("viewer", Role.VIEWER))


@pytest.fixture
def outsider(stranger) -> ApiClient:
    return ApiClient(stranger)


@pytest.fixture
def filled(context, clock) -> FilledContext:
    """A server that runs, with calls, refusals and messages as the test makes them."""
    return FilledContext(context, clock)
