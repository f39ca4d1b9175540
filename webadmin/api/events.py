"""The operation on events: a stream of server-sent events."""

from bottle import request
from msgspec import Struct

from sip.monitor.event_names import EventName
from sip.serializers.events import EVENT_CLASSES
from sip.store.database import DatabaseError
from sip.store.tokens import Token
from webadmin.api.operations import Encoded, Operations, WithHeaders
from webadmin.context import TOKEN, AppContext
from webadmin.event_streams import EventStreams
from webadmin.token_check import sent_hash

EVENT_STREAM = "text/event-stream"

# A proxy must neither collect the events nor keep them.
_HEADERS = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}


class EventQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The names of the events to send; without `types`, all."""

    types: tuple[EventName, ...] = ()


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operation on events."""
    streams = EventStreams(context.bus)

    def events(query: EventQuery) -> WithHeaders:
        token: Token = request.environ[TOKEN]
        hashed = sent_hash()

        def is_allowed() -> bool:
            try:
                return context.tokens.find(hashed) is not None
            except DatabaseError:
                return False  # the program opens another stream, which is checked anew

        streams.check_room(token.name)
        texts = streams.events(token.name, query.types or tuple(EVENT_CLASSES), is_allowed)
        return WithHeaders(Encoded(texts), _HEADERS)

    operations.get(
        *("/events", events, "Stream events as they happen, as server-sent events"),
        query=EventQuery,
        answer=EVENT_STREAM,
    )
