"""The client transactions of each connection (RFC 3261 §18.4)."""

from sip.transaction.client import ClientTransaction
from sip.transaction.machine import State


class ClientsByConnection:
    """An index of client transactions by connection, from the first request to the end of each.

    Transactions on UDP are not in it: there is no connection that could close.
    """

    def __init__(self) -> None:
        self._transactions: dict[int, dict[ClientTransaction, None]] = {}  # in order of sending

    def __len__(self) -> int:
        return sum(map(len, self._transactions.values()))

    def add(self, transaction: ClientTransaction) -> None:
        """Add a transaction whose request was sent on the connection of its flow."""
        self._transactions.setdefault(transaction.flow.connection, {})[transaction] = None

    def remove(self, transaction: ClientTransaction) -> None:
        """Remove a transaction; one that is not in the index is no error."""
        connection = transaction.flow.connection
        ours = self._transactions.get(connection)
        if ours is not None and transaction in ours:
            del ours[transaction]
            if not ours:
                del self._transactions[connection]

    def unanswered(self, connection: int) -> list[ClientTransaction]:
        """Return the transactions of a connection that have no final response yet."""
        waiting = (State.TRYING, State.PROCEEDING)
        return [each for each in self._transactions.get(connection, ()) if each.state in waiting]
