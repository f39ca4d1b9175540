"""The events of the server as plain values, and the bus that hands them to their readers.

An event without a listener is not built: publishers ask `bus.has_listener(Class)` first, which is
one look-up in a dictionary.  Where even that is too much, they keep the `bus.topic(Class)` and look
at its `listeners`.

In all events:
- `at` and `until` are Unix seconds; `at` is the time of the event by `bus.now()`.
- An address is a pair of host and port, the host without brackets; ("", 0) if there is none.
- `transport` is "UDP" or "TCP"; "ROBOT" for the robot, which is in this process.
- `device` is the User-Agent or Server header field, cut to MAX_DEVICE characters.
- Texts that a peer has chosen are printable.
- A call is identified by its Call-ID and the From tag of its INVITE.

Events of messages and calls are NamedTuples, because there are so many: a frozen dataclass takes
five times as long to make.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, NamedTuple, TypeVar

log = logging.getLogger(__name__)

# Events that wait for a reader; the oldest one is discarded for a new one.
MAX_PENDING_EVENTS = 1000

# Characters of a device, cause or URI in an event.
MAX_DEVICE = 300

Event = TypeVar("Event")
Address = tuple[str, int]
NO_ADDRESS: Address = ("", 0)


# Registrations


@dataclass(frozen=True, slots=True)
class Registered:
    """A contact was bound, and the database has it.

    Not published for the refresh of a single contact along the same flow, which nearly all are;
    `is_refresh` is True for other contacts that were bound before.  `contact` is the URI as the
    phone wrote it, `expires_at` is in Unix seconds.  `behind_nat` is True if only the flow of its
    REGISTER leads to the phone.
    """

    at: float
    user_id: int
    username: str
    realm: str
    contact: str
    device: str
    address: Address
    transport: str
    behind_nat: bool
    expires_at: float
    is_refresh: bool


@dataclass(frozen=True, slots=True)
class Unregistered:
    """A contact is no longer bound.

    `reason` is one of the UNREGISTERED_… texts below.
    """

    at: float
    user_id: int
    username: str
    realm: str
    contact: str
    device: str
    address: Address
    transport: str
    reason: str


UNREGISTERED_BY_PHONE = "unregistered"  # or the phone has registered another contact instead
UNREGISTERED_BY_TIME = "expired"
UNREGISTERED_BY_CLOSE = "connection closed"  # no flow leads to the phone
UNREGISTERED_BY_ADMIN = "removed"  # the contact, or its account


# Refusals


class Sender(IntEnum):
    """The kinds of senders of refused requests, by what is known of them."""

    USER = 0  # a user here, at an address that is not forged
    VERIFIED = 1  # no user here, at an address that is not forged
    UNVERIFIED = 2  # a datagram, perhaps with a forged address


@dataclass(frozen=True, slots=True)
class Refused:
    """A REGISTER or INVITE was refused, for a reason that an operator may want to know.

    Requests that a phone repeats by itself with the right values are left out: those without
    credentials, with a stale nonce, or refused by 423.

    `cause` is a clause, `cure` whole sentences or "", `code` the key of both.  `username` is that
    of the sender, "" where it names none; `realm` is None where it asked for a domain that this
    server does not serve.  `user` and `to` are names as on the pages: `name` in the main realm,
    else `name@realm`; `to` is "" for a REGISTER.  `network` is the host of `address`, or the /64 of
    an IPv6 host.
    `is_in_dialog` is True if the request has a To tag: it changes a call, and begins none.
    `caller` and `callee` of an INVITE are its sides, as in CallStarted; None if they are unknown.
    """

    at: float
    sender: Sender
    method: str
    status: int
    cause: str
    cure: str
    username: str
    realm: str | None
    user: str
    to: str
    address: Address
    network: str
    transport: str
    device: str
    call_id: str
    from_tag: str
    code: str = ""
    is_in_dialog: bool = False
    caller: "Party | None" = None
    callee: "Party | None" = None


@dataclass(frozen=True, slots=True)
class RefusalSent:
    """This server has answered a request with a failure of its own, for a known cause.

    Published for every method and any sender, unlike Refused.  `cseq` is the value of CSeq;
    `cause`, `cure` and `code` are those of Refused.
    """

    at: float
    call_id: str
    cseq: str
    status: int
    cause: str
    cure: str
    code: str


# Calls


class Party(NamedTuple):
    """One side of a call.

    `uri` is its URI as written in From or the Request-URI.  `user_id`, `username`, `realm` and
    `name` are those of the account; 0, "", "" and "" where it is no user here.  `name` is the
    display name; it may be "", too.
    """

    uri: str
    user_id: int
    username: str
    realm: str
    name: str = ""


class CallStarted(NamedTuple):
    """An INVITE that begins a call was accepted for forwarding.

    Published once for each call, before the first branch is sent.  `address`, `transport` and
    `device` are those of the caller; `behind_nat` is True if only its flow leads to it.  `offer` is
    the session description of the INVITE, b"" if it has none or a long one.
    """

    at: float
    call_id: str
    from_tag: str
    caller: Party
    callee: Party
    address: Address
    transport: str
    device: str
    behind_nat: bool = False
    offer: bytes = b""


class RingingPhone(NamedTuple):
    """A phone that rings; `behind_nat` is True if only the flow of its REGISTER leads to it."""

    address: Address
    transport: str
    device: str
    behind_nat: bool


class PhonesRinging(NamedTuple):
    """The phones that ring for a call have changed.

    Published when a second or later phone begins to ring, and when one of several has stopped
    while the call goes on.  `phones` are all that ring now.
    """

    at: float
    call_id: str
    from_tag: str
    phones: tuple[RingingPhone, ...]


class CallRinging(NamedTuple):
    """The first phone rings: a 180 to 189 was relayed to the caller.

    `address`, `transport`, `device` and `behind_nat` are those of the phone.
    """

    at: float
    call_id: str
    from_tag: str
    status: int
    address: Address
    transport: str
    device: str
    behind_nat: bool = False


class CallAnswered(NamedTuple):
    """The first 2xx was relayed to the caller.

    `to_tag` is the tag of the phone that answered; `address`, `transport`, `device` and
    `behind_nat` are its own.  `answer` is the session description of the 2xx.
    """

    at: float
    call_id: str
    from_tag: str
    to_tag: str
    status: int
    address: Address
    transport: str
    device: str
    behind_nat: bool = False
    answer: bytes = b""


class CallUpdated(NamedTuple):
    """The media of a call have changed: a re-INVITE or UPDATE was accepted.

    `offer` and `answer` are the session descriptions; `held_by` are the sides that hold the call,
    "caller" and "callee".
    """

    at: float
    call_id: str
    from_tag: str
    offer: bytes
    answer: bytes
    held_by: frozenset[str]


class CallEnded(NamedTuple):
    """A call is over: a BYE was forwarded, its INVITE has failed, or it was found dead.

    `status` is the final status that the caller got for its INVITE; it is 200 if the call was
    answered.  `cause` is a clause that says why, `cure` whole sentences or "", `code` the key of
    both.  `ended_by` is "caller", "callee" or "server".

    A call that began before this process, and is ended by a BYE, has `ended_by` "".  The ticket of
    the BYE says which side is the caller, and which accounts the `caller` and the `callee` have;
    both are None for any other call.
    """

    at: float
    call_id: str
    from_tag: str
    to_tag: str
    from_uri: str
    to_uri: str
    status: int
    cause: str
    ended_by: str
    cure: str = ""
    code: str = ""
    caller: Party | None = None
    callee: Party | None = None


# Messages


class MessagePassed(NamedTuple):
    """A SIP message was received or sent, malformed ones included.

    `direction` is "in" or "out".  `octets` is the whole message; on a connection Content-Length is
    added to a message that lacks it only after this.  Of a message on a connection whose end cannot
    be found, it is the head as far as that was read.  Messages of banned addresses and those
    dropped for overload are not read, so they are left out; so are keep-alives.

    Listeners get a plain tuple with these fields, for there are so many: see MessageFields.
    """

    at: float
    direction: str
    local: Address
    remote: Address
    transport: str
    octets: bytes


# The fields of a MessagePassed.
MessageFields = tuple[float, str, Address, Address, str, bytes]


# Abuse protection


@dataclass(frozen=True, slots=True)
class Banned:
    """A network was banned.

    `network` is an IPv4 address or the /64 of an IPv6 address; `address` is the host whose messages
    led to the ban, with its port 0.  `until` is when the ban ends; `times` counts the bans of the
    network, this one included.  `code` is the key of the reason, a cause.
    """

    at: float
    network: str
    address: Address
    until: float
    reason: str
    times: int
    code: str = ""


@dataclass(frozen=True, slots=True)
class Unbanned:
    """A ban has ended.

    `reason` is "expired" or "lifted".
    """

    at: float
    network: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overload:
    """Overload has started or ended.

    `dropped` is the number of messages that were dropped unread meanwhile; 0 at the start.
    """

    at: float
    is_started: bool
    dropped: int


# Administration


@dataclass(frozen=True, slots=True)
class AdminActed:
    """An administrator acted in the web admin, or a sign-in was refused.

    `act` is one of the texts of `sip.store.audit.Act`, `about` its object, "" if there is none.
    `name` is "" for a user that is not signed in, `host` the address of the browser.
    """

    at: float
    act: str
    name: str
    host: str
    about: str


# The bus


class Reader:
    """A bounded queue of events; `lost` counts the oldest ones, discarded when it was full."""

    def __init__(self, bus: "Bus", classes: tuple[type, ...], limit: int) -> None:
        self._bus = bus
        self._classes = classes
        self._limit = limit
        self._pending: deque[Any] = deque()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._pending)

    def put(self, event: Any) -> None:
        """Add an event, and discard the oldest one if the queue is full."""
        if len(self._pending) >= self._limit:
            self._pending.popleft()
            self.lost += 1
            self._bus.lost += 1
        self._pending.append(event)

    def take(self) -> list[Any]:
        """Return all pending events, the oldest first, and empty the queue."""
        events = list(self._pending)
        self._pending.clear()
        return events

    def close(self) -> None:
        """Stop reading."""
        for each in self._classes:
            self._bus.remove_listener(each, self.put)


class Topic(Generic[Event]):
    """The listeners of one class of events; `listeners` is empty if an event would not be heard."""

    __slots__ = ("event_class", "listeners")

    def __init__(self, event_class: type[Event]) -> None:
        self.event_class = event_class
        self.listeners: tuple[Callable[[Event], object], ...] = ()

    def publish(self, event: Event) -> None:
        """Hand an event to the listeners."""
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:
                name = self.event_class.__name__
                log.exception("unhandled error of a listener to %s", name)


class Bus:
    """Hands each event to the listeners of its class, at once and in the order they were added.

    A listener is called in the publisher's greenlet, so it may wait only where the publisher may;
    most publishers may not.  An exception of a listener is logged; the other listeners are called
    all the same.  `unix_clock` gives the time of events.  `lost` counts the events that any reader
    had to discard because its queue was full.
    """

    def __init__(self, unix_clock: Callable[[], float] = time.time) -> None:
        self.now = unix_clock
        self.lost = 0
        self._topics: dict[type, Topic[Any]] = {}

    def topic(self, event_class: type[Event]) -> Topic[Event]:
        """Return the topic of a class of events; it is the same object each time."""
        topic: Topic[Event] | None = self._topics.get(event_class)
        if topic is None:
            topic = self._topics[event_class] = Topic(event_class)
        return topic

    def has_listener(self, event_class: type) -> bool:
        """Return True if an event of this class would be heard."""
        topic = self._topics.get(event_class)
        return topic is not None and bool(topic.listeners)

    def listen(self, event_class: type[Event], listener: Callable[[Event], object]) -> None:
        """Call `listener` with each event of a class."""
        topic = self.topic(event_class)
        topic.listeners = (*topic.listeners, listener)

    def remove_listener(self, event_class: type, listener: Callable[[Any], object]) -> None:
        """Stop calling a listener; one that is not there is no error."""
        topic: Topic[Any] = self.topic(event_class)
        topic.listeners = tuple(each for each in topic.listeners if each != listener)

    def read(self, *event_classes: type, limit: int = MAX_PENDING_EVENTS) -> Reader:
        """Return a reader that collects events of these classes; it may be emptied later."""
        reader = Reader(self, event_classes, limit)
        for each in event_classes:
            self.listen(each, reader.put)
        return reader

    def publish(self, event: object) -> None:
        """Hand an event to the listeners of its class."""
        topic = self._topics.get(type(event))
        if topic is not None:
            topic.publish(event)
