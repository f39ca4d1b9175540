"""Fixtures of the tests of transactions."""

import pytest

from tests.transaction.harness import TO_BOB, Harness


@pytest.fixture
def harness() -> Harness:
    """A transaction layer alone."""
    return Harness()


@pytest.fixture
def proxy(harness: Harness) -> Harness:
    """A harness with a handler that sends each request to Bob and the first final answer back."""
    harness.events = []

    def handler(request, upstream):
        branches = [upstream.layer.send_request(request.copy(), TO_BOB, upstream)]
        while True:
            event = upstream.mailbox.get()
            harness.events.append(event)
            if event.branch is None:
                branches[0].cancel()
            elif event.response is None:
                return upstream.answer(event.status)
            else:
                event.response.remove_top_via()
                return upstream.respond(event.response)

    harness.handler = handler
    return harness
