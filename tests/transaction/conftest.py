"""Fixtures of the tests of transactions."""

import pytest

from tests.transaction.harness import TO_BOB, Harness


@pytest.fixture
def harness() -> Harness:
    """A transaction layer alone."""
    return Harness()


@pytest.fixture
def proxy(harness: Harness) -> Harness:
    """A harness whose handler sends each request to Bob and the first final answer back."""
    harness.arrivals = []

    def handler(request, upstream):
        branches = [upstream.layer.send_request(request.copy(), TO_BOB, upstream)]
        while True:
            arrival = upstream.arrivals.get()
            harness.arrivals.append(arrival)
            if arrival.branch is None:
                branches[0].cancel()
            elif arrival.response is None:
                return upstream.answer(arrival.status)
            else:
                arrival.response.drop_top_via()
                return upstream.respond(arrival.response)

    harness.handler = handler
    return harness
