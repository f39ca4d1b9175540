"""Which server transaction a request belongs to (RFC 3261 §17.2.3, §9.2, §8.2.2.2)."""

from sip.message.headers import METHODS
from sip.message.message import Request
from sip.transaction.matching import is_unique, merge_key, tag_of, transaction_key
from sip.transaction.server import InviteServerTransaction, Key, ServerTransaction

# What a CANCEL may name without effect (§9.2), but for methods that are not known here.
_OTHER_METHODS = METHODS - {"INVITE", "ACK", "CANCEL"}


class ServerTransactions(dict[Key, ServerTransaction]):
    """The server transactions that exist, by their key, and what else finds some of them.

    Nothing is found here any longer than its transaction lasts, so what bounds these bounds all.
    """

    def __init__(self) -> None:
        super().__init__()
        self._served_here: dict[int, ServerTransaction] = {}  # what a UAS here serves
        self._unknown_methods: dict[Key, ServerTransaction] = {}  # by the key without the method

    def add(self, transaction: ServerTransaction) -> None:
        """Find a new transaction from now on."""
        key = transaction.key
        self[key] = transaction
        if key[-1] not in METHODS:
            self._unknown_methods[key[:-1]] = transaction

    def remove(self, transaction: ServerTransaction) -> None:
        """Find it no more."""
        key = transaction.key
        if self.get(key) is transaction:
            del self[key]
        if key[-1] not in METHODS and self._unknown_methods.get(key[:-1]) is transaction:
            del self._unknown_methods[key[:-1]]
        if transaction.merge_key is not None:
            del self._served_here[transaction.merge_key]
            transaction.merge_key = None

    def find_acknowledged(self, ack: Request) -> InviteServerTransaction | None:
        """The INVITE that an ACK belongs to.

        One of RFC 2543 is told by the To tag of what it acknowledges; its INVITE had that tag,
        or none.
        """
        found = self.get(transaction_key(ack, "INVITE"))
        if not is_unique(ack.via.branch):
            found = found or self.get(transaction_key(ack, "INVITE", to_tag=""))
            if isinstance(found, InviteServerTransaction) and tag_of(found.to_line) != ack.to.tag:
                return None
        return found if isinstance(found, InviteServerTransaction) else None

    def find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        """What a CANCEL names: of any method but ACK and CANCEL, an INVITE before all (§9.2)."""
        invite = self.get(transaction_key(cancel, "INVITE"))
        if invite is not None:
            return invite
        for method in _OTHER_METHODS:
            other = self.get(transaction_key(cancel, method))
            if other is not None:
                return other
        return self._unknown_methods.get(transaction_key(cancel, "")[:-1])

    def is_merged(self, request: Request, transaction: ServerTransaction) -> bool:
        """Tell whether another transaction serves the same request here, come another way.

        If not, this one does from now on.
        """
        if request.to.tag or transaction.is_over:
            return False
        key = merge_key(request)
        if self._served_here.setdefault(key, transaction) is not transaction:
            return True
        transaction.merge_key = key
        return False
