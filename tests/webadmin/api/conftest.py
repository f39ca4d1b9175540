"""Fixtures: a program with a token of each role, and one without a token."""

import pytest

from sip.store.tokens import Role
from tests.support.api_client import ApiClient


@pytest.fixture
def api(context, stranger) -> ApiClient:
    return ApiClient(stranger, context.tokens.add("api", Role.ADMIN))


@pytest.fixture
def viewer(context, stranger) -> ApiClient:
    return ApiClient(stranger, context.tokens.add("viewer", Role.VIEWER))


@pytest.fixture
def outsider(stranger) -> ApiClient:
    return ApiClient(stranger)
