"""What every test may use."""

import pytest
from world import World


@pytest.fixture
def world() -> World:
    """A server, phones to make, and a clock to turn."""
    return World()
