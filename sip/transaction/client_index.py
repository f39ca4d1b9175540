"""Which client transactions wait for what comes by a connection (RFC 3261 §18.4)."""

from sip.transaction.client import ClientTransaction
from sip.transaction.machine import State


class ClientsByConnection:
    """The client transactions of each connection, from their request to their end.

    On UDP nothing is noted: a datagram has no end that somebody could tell of.
    """

    def __init__(self) -> None:
        self._transactions: dict[
            int, dict[ClientTransaction, None]
        ] = {}  # in order, by the connection

    def __len__(self) -> int:
        return sum(map(len, self._transactions.values()))

    def add(self, transaction: ClientTransaction) -> None:
        """Know that the request has gone by the connection of its flow."""
        self._transactions.setdefault(transaction.flow.connection, {})[transaction] = None

    def remove(self, transaction: ClientTransaction) -> None:
        """Know a transaction no more; one that isn't known is no error."""
        connection = transaction.flow.connection
        ours = self._transactions.get(connection)
        if ours is not None and transaction in ours:
            del ours[transaction]
            if not ours:
                del self._transactions[connection]

    def unanswered(self, connection: int) -> list[ClientTransaction]:
        """Those that have no final answer yet."""
        waiting = (State.TRYING, State.PROCEEDING)
        return [each for each in self._transactions.get(connection, ()) if each.state in waiting]
