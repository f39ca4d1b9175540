"""Counters with metric names: how often something happened since the start.

A key is the text of a metric with its labels, as Prometheus writes it:
`messages_dropped{reason="banned"}`.  Hot code adds to `counters[KEY]` by a constant from this file;
other code may use `increment`.  Log lines use the same words.

A label has few values, which this program chooses: never a user, an address, or a text that a peer
has sent.
"""

from collections import Counter


def metric(name: str, **labels: str | int) -> str:
    """Return the key of a metric."""
    if not labels:
        return name
    pairs = ",".join([f'{label}="{value}"' for label, value in labels.items()])
    return f"{name}{{{pairs}}}"


class Counters(Counter[str]):
    """Counters of one part of the server, by their keys."""

    def increment(self, name: str, count: int = 1, **labels: str | int) -> None:
        """Add `count` to a metric with these labels."""
        self[metric(name, **labels)] += count


# Messages

MESSAGES_MALFORMED = metric("messages_malformed")  # dropped, or refused with 400 to 505
MESSAGES_UNSENT = metric("messages_unsent")  # the transport failed
KEEPALIVES_RECEIVED = metric("keepalives_received")  # datagrams of line ends
KEEPALIVES_UNSENT = metric("keepalives_unsent")
# Messages that were neither answered nor forwarded.
DROPPED_BANNED = metric("messages_dropped", reason="banned")
DROPPED_OVERLOAD = metric("messages_dropped", reason="overload")
DROPPED_SCANNER = metric("messages_dropped", reason="scanner")
# Its answer would be more than three times as large, which helps an attacker.
DROPPED_TOO_SHORT = metric("messages_dropped", reason="too_short")
DROPPED_TRANSACTION_LIMIT = metric("messages_dropped", reason="transaction_limit")
DROPPED_UNROUTABLE_ACK = metric("messages_dropped", reason="unroutable_ack")

# Transactions

REQUESTS_RETRANSMITTED = metric("requests_retransmitted")  # by clients, and answered again
RESPONSES_UNMATCHED = metric("responses_unmatched")  # to no client transaction
RESPONSES_UNACKNOWLEDGED = metric("responses_unacknowledged")  # failures of an INVITE without ACK
REFUSALS_UNSENT = metric("refusals_unsent")  # of malformed requests; the response has no address

# Connections

CONNECTIONS_REFUSED = metric("connections_refused")  # too many
CLOSED_BUFFER_LIMIT = metric("connections_closed", reason="buffer_limit")
CLOSED_TIMEOUT = metric(
    "connections_closed", reason="timeout"
)  # a message was not complete in time
CLOSED_HANDSHAKE_LIMIT = metric("connections_closed", reason="handshake_limit")
CLOSED_OVERLOAD = metric("connections_closed", reason="overload")  # paused for too long

# Database

DATABASE_ERRORS = metric("database_errors")  # SQLite or the disk refused a transaction


def refusals(cause: str) -> str:
    """Return the key of refused requests; `cause` is a key of `sip.core.causes`."""
    return f'refusals{{cause="{cause}"}}'
