"""What the tests of transactions may use."""

import pytest

from tests.transaction.layer_bench import TO_BOB, Hop


@pytest.fixture
def hop() -> Hop:
    """A transaction layer by itself."""
    return Hop()


@pytest.fixture
def proxy(hop: Hop) -> Hop:
    """A hop whose handler sends each request to Bob and the first final answer back."""
    hop.arrivals = []

    def handler(request, upstream):
        branches = [upstream.layer.send_request(request.copy(), TO_BOB, upstream)]
        while True:
            arrival = upstream.arrivals.get()
            hop.arrivals.append(arrival)
            if arrival.branch is None:
                branches[0].cancel()
            elif arrival.response is None:
                return upstream.answer(arrival.status)
            else:
                arrival.response.remove_top_via()
                return upstream.respond(arrival.response)

    hop.handler = handler
    return hop
