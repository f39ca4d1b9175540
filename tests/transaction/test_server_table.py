"""The table of server transactions against RFC 3261 §17.2.3, §9.2 and §8.2.2.2."""

import sys

import pytest

from sip.message.message import Request
from sip.message.responses import encode_response
from sip.transaction.matching import merge_key, tag_of, transaction_key
from sip.transaction.server import InviteServerTransaction, ServerTransaction
from sip.transaction.server_table import ServerTransactions
from tests.support.cases import cases
from tests.transaction.harness import FROM_ALICE, Harness, read, request

OLD = ";branch=1"  # of RFC 2543: no magic cookie


def held(served: ServerTransactions, message: Request) -> ServerTransaction:
    kind = InviteServerTransaction if message.method == "INVITE" else ServerTransaction
    transaction = kind(transaction_key(message, message.method), FROM_ALICE, 0.0)
    served.add(transaction)
    return transaction


# Merged requests, §8.2.2.2


def test_the_same_request_on_another_way_is_merged():
    """§8.2.2.2: same From tag, Call-ID and CSeq as another transaction."""
    served = ServerTransactions()
    first, second = read(request("REGISTER")), read(request("REGISTER", branch=";branch=z9hG4bKx"))
    one, other = held(served, first), held(served, second)
    assert not served.is_merged(first, one)
    assert not served.is_merged(first, one)  # it is the first one
    assert served.is_merged(second, other)
    served.remove(other)  # it was refused; the first one is still served
    assert served.is_merged(second, held(served, second))
    served.remove(one)
    assert not served.is_merged(second, held(served, second))


@cases(
    "other",
    [
        {"from_tag": ";tag=b"},
        {"from_tag": ""},
        {"call_id": "call-2"},
        {"call_id": "CALL-1"},
        {"cseq": "2 REGISTER"},
        {"to": "<sip:bob@example.com>;tag=x"},
    ],
)
def test_another_key_or_a_to_tag_is_not_merged(other):
    """§8.2.2.2: all parts must be equal, and To must have no tag."""
    served = ServerTransactions()
    first = read(request("REGISTER"))
    second = read(request("REGISTER", branch=";branch=z9hG4bKx", **other))
    assert not served.is_merged(first, held(served, first))
    assert not served.is_merged(second, held(served, second))


def test_a_method_tells_requests_apart_and_a_way_does_not():
    """§8.2.2.2: CSeq counts with its method; Request-URI and Via do not count."""
    register = read(request("REGISTER", cseq="007 REGISTER"))
    assert merge_key(register) != merge_key(read(request("OPTIONS", cseq="7 OPTIONS")))
    assert merge_key(register) == merge_key(
        read(request("REGISTER", cseq="7 REGISTER", uri="sip:other", sent_by="192.0.2.99"))
    )


def test_a_proxied_request_is_never_merged(harness: Harness):
    """§16.3: to a proxy a merged request is no error."""
    merged = []

    def handler(request, upstream):
        if request.method == "REGISTER":
            merged.append(upstream.is_merged())
        upstream.answer(200)

    harness.handler = handler
    harness.hears(request("MESSAGE", cseq="1 MESSAGE"))
    harness.hears(request("MESSAGE", cseq="1 MESSAGE", branch=";branch=z9hG4bKx"))
    harness.hears(request("REGISTER"))
    harness.hears(request("REGISTER", branch=";branch=z9hG4bKx"))
    assert [message.status for message, _ in harness.sent] == [200] * 4
    assert merged == [False, True]
    harness.sent.clear()
    harness.passes(33)
    assert harness.is_quiet
    harness.hears(request("REGISTER", branch=";branch=z9hG4bKy"))
    assert merged == [False, True, False]


def test_merge_keys_go_with_their_transactions(harness: Harness):
    """A stateless response leaves no key, so the index stays bounded."""

    def refuses(request, upstream):
        assert not upstream.is_merged()
        data = encode_response(request, 401, to_tag="t")
        upstream.layer.answer_statelessly(upstream, 401, data)

    harness.handler = refuses
    for number in range(5):
        harness.hears(request("REGISTER", branch=f";branch=z9hG4bK{number}"))
    assert len(harness.sent) == 5
    assert not harness.layer.servers._served_here
    upstream = harness.served[0][1]
    assert not upstream.is_merged()  # its handler has ended


def test_a_transaction_that_is_over_holds_nothing():
    """A late call adds no key."""
    served = ServerTransactions()
    message = read(request("REGISTER"))
    transaction = held(served, message)
    transaction.end()
    served.remove(transaction)
    assert not served.is_merged(message, transaction)
    assert not served._served_here


def test_a_table_gives_back_the_memory_of_a_peak():
    """The transactions that are left are found as before."""
    served = ServerTransactions()
    empty = sys.getsizeof(served)
    messages = [read(request("REGISTER", branch=f";branch=z9hG4bK{n}")) for n in range(200)]
    transactions = [held(served, message) for message in messages]
    assert not served.is_merged(messages[0], transactions[0])
    for transaction in transactions[1:]:
        served.remove(transaction)
    full = sys.getsizeof(served)
    served.compact()
    assert sys.getsizeof(served) - empty < (full - empty) / 10
    assert list(served.values()) == transactions[:1]
    assert served.is_merged(messages[1], held(served, messages[1]))


# CANCEL, §9.2


@cases("branch", [";branch=z9hG4bKx", OLD, ""])
@cases("method", ["INVITE", "MESSAGE", "REGISTER", "BYE", "FLY", "Invite"])
def test_a_cancel_names_a_request_of_any_method(branch: str, method: str):
    """§9.2: any method but CANCEL and ACK."""
    served = ServerTransactions()
    transaction = held(served, read(request(method, branch=branch)))
    assert served.find_cancelled(read(request("CANCEL", branch=branch))) is transaction
    served.remove(transaction)
    assert served.find_cancelled(read(request("CANCEL", branch=branch))) is None
    assert not served
    assert not served._unknown_methods


@pytest.mark.parametrize("method", ["CANCEL", "ACK"])
def test_a_cancel_names_no_cancel_and_no_ack(method: str):
    """§9.2."""
    served = ServerTransactions()
    held(served, read(request(method)))
    assert served.find_cancelled(read(request("CANCEL"))) is None


def test_under_one_branch_the_invite_is_meant():
    """Two requests with one branch: only the INVITE can ring long."""
    served = ServerTransactions()
    held(served, read(request("FLY")))
    held(served, read(request("MESSAGE")))
    invite = held(served, read(request("INVITE")))
    assert served.find_cancelled(read(request("CANCEL"))) is invite


def test_of_two_unknown_methods_under_one_branch_one_is_found():
    """Removing the first does not remove the other."""
    served = ServerTransactions()
    first, second = held(served, read(request("FLY"))), held(served, read(request("SWIM")))
    served.remove(first)
    assert served.find_cancelled(read(request("CANCEL"))) is second
    served.remove(second)
    assert not served._unknown_methods


def test_a_cancel_of_an_old_client_has_the_to_of_its_request():
    """§17.2.3: To tags included."""
    served = ServerTransactions()
    held(served, read(request("INVITE", branch=OLD, to="<sip:bob@example.com>;tag=b")))
    assert served.find_cancelled(read(request("CANCEL", branch=OLD))) is None


# ACK, §17.2.3


def answered(
    served: ServerTransactions, to_tag: str = "", *, branch: str
) -> InviteServerTransaction:
    """Add an INVITE with that To tag; its response had the tag b."""
    to = "<sip:bob@example.com>" + to_tag
    transaction = held(served, read(request("INVITE", branch=branch, to=to)))
    assert isinstance(transaction, InviteServerTransaction)
    transaction.to_line = "t : <sip:bob@example.com>\r\n ;tag=b"
    return transaction


def ack(tag: str, branch: str) -> Request:
    return read(request("ACK", branch=branch, to=f"<sip:bob@example.com>{tag}"))


@cases("to_tag", ["", ";tag=b"])
@cases("branch", [OLD, "", ";branch=z9hG4bK"])
def test_an_rfc_2543_ack_has_the_to_tag_of_the_response(branch: str, to_tag: str):
    """§17.2.3: the INVITE had none, or the same one in a dialog; other tags do not match."""
    served = ServerTransactions()
    transaction = answered(served, to_tag, branch=branch)
    assert served.find_acknowledged(ack(";tag=b", branch)) is transaction
    assert served.find_acknowledged(ack(";tag=c", branch)) is None
    assert served.find_acknowledged(ack("", branch)) is None


def test_the_ack_of_a_unique_branch_needs_no_tag():
    """§17.2.3: by branch and sent-by."""
    served = ServerTransactions()
    transaction = answered(served, branch=";branch=z9hG4bKx")
    assert served.find_acknowledged(ack(";tag=c", ";branch=Z9HG4BKx")) is transaction
    assert served.find_acknowledged(ack(";tag=b", ";branch=z9hG4bKy")) is None


def test_an_ack_belongs_to_an_invite_alone():
    """§17.2.3: the transaction must be that of an INVITE."""
    served = ServerTransactions()
    held(served, read(request("MESSAGE")))
    assert served.find_acknowledged(ack("", ";branch=z9hG4bKalice1")) is None


@pytest.mark.parametrize(
    ("line", "tag"),
    [
        ("To: <sip:b@x>;tag=1", "1"),
        ("t:sip:b@x;tag=1", "1"),
        ("To: <sip:b@x;tag=0>", ""),
        ("To: <", ""),
        ("To:", ""),
    ],
)
def test_a_tag_is_read_from_a_line(line: str, tag: str):
    """The To of a response, which is not parsed when it arrives."""
    assert tag_of(line) == tag
