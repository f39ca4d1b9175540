"""The table of server transactions, and how requests match them (RFC 3261 §17.2.3, §9.2)."""

from sip.memory import shrink
from sip.message.headers import METHODS
from sip.message.message import Request
from sip.transaction.matching import is_unique, merge_key, split_key, tag_of, transaction_key
from sip.transaction.server import InviteServerTransaction, Key, ServerTransaction

# A CANCEL of these has no effect (§9.2); methods unknown here have an index of their own.
_OTHER_METHODS = METHODS - {"INVITE", "ACK", "CANCEL"}


class ServerTransactions(dict[Key, ServerTransaction]):
    """All server transactions by their key, with two more indexes.

    No index holds a transaction longer than this table does, so MAX_TRANSACTIONS bounds them all.
    """

    def __init__(self) -> None:
        super().__init__()
        self._served_here: dict[int, ServerTransaction] = {}  # by merge key, those of a UAS here
        self._unknown_methods: dict[Key, ServerTransaction] = {}  # by the key without the method

    def add(self, transaction: ServerTransaction) -> None:
        """Add a transaction."""
        key = transaction.key
        self[key] = transaction
        shared, method = split_key(key)
        if method not in METHODS:
            self._unknown_methods[shared] = transaction

    def remove(self, transaction: ServerTransaction) -> None:
        """Remove a transaction from the table and its indexes."""
        key = transaction.key
        if self.get(key) is transaction:
            del self[key]
        if self._unknown_methods:
            shared, _ = split_key(key)
            if self._unknown_methods.get(shared) is transaction:
                del self._unknown_methods[shared]
        if transaction.merge_key is not None:
            del self._served_here[transaction.merge_key]
            transaction.merge_key = None

    def compact(self) -> None:
        """Give back the memory of a load peak."""
        for table in (self, self._served_here, self._unknown_methods):
            shrink(table)

    def find_acknowledged(self, ack: Request) -> InviteServerTransaction | None:
        """Return the INVITE transaction that an ACK belongs to.

        An ACK of RFC 2543 must have the To tag of our response; its INVITE had that tag or none.
        """
        found = self.get(transaction_key(ack, "INVITE"))
        if not is_unique(ack.via.branch):
            found = found or self.get(transaction_key(ack, "INVITE", to_tag=""))
            if isinstance(found, InviteServerTransaction) and tag_of(found.to_line) != ack.to.tag:
                return None
        return found if isinstance(found, InviteServerTransaction) else None

    def find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        """Return the transaction that a CANCEL names, an INVITE before other methods (§9.2)."""
        invite = self.get(transaction_key(cancel, "INVITE"))
        if invite is not None:
            return invite
        for method in _OTHER_METHODS:
            other = self.get(transaction_key(cancel, method))
            if other is not None:
                return other
        return self._unknown_methods.get(split_key(transaction_key(cancel, ""))[0])

    def is_merged(self, request: Request, transaction: ServerTransaction) -> bool:
        """Return True if another transaction serves the same request, which came by another path.

        If False, `transaction` is the one that serves it from now on (§8.2.2.2).
        """
        if request.to.tag or transaction.is_over:
            return False
        key = merge_key(request)
        if self._served_here.setdefault(key, transaction) is not transaction:
            return True
        transaction.merge_key = key
        return False
