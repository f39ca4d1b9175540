"""Operations on trouble: refusals, waits, bans and trusted networks."""

import hashlib
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sip.monitor.refusals import Refusal as Row
from sip.operator_values import Network, network_text, parse_network
from sip.serializers.trouble import ban_json, refusal_json, trusted_json, wait_json
from sip.store.accounts import normalized
from sip.store.bans import NoSuchBan
from webadmin.api import cursors
from webadmin.api.operations import Operations
from webadmin.api.problems import FieldError, Problem, invalid
from webadmin.api.registrations import UserText
from webadmin.api.shapes import DEFAULT_LIMIT, Cursor, Limit, Part
from webadmin.context import AppContext
from webadmin.trouble_service import TroubleService

# An address or network with its length: the longest has 49 characters.
NetworkText = Annotated[str, Meta(min_length=1, max_length=60)]


class Refusal(Struct, frozen=True):
    """Refused requests that are equal; address, device and Call-ID are those of the latest one."""

    first_at: str
    last_at: str
    count: int
    method: str
    status: int
    code: str
    cause: str
    cure: str
    user: str
    to: str
    address: str
    device: str
    call_id: str


class Wait(Struct, frozen=True):
    """A user whose passwords are not checked until a time, at one address or /64 network."""

    id: int
    user: str
    address: str
    tries: int
    until: str


class Ban(Struct, frozen=True):
    """A banned address or /64 network; `times` counts this ban and the former ones."""

    address: str
    reason: str
    banned_at: str
    until: str
    times: int


class TrustedNetwork(Struct, frozen=True):
    """A network that is never banned; one from the setting -guard.trusted cannot be removed."""

    network: str
    source: Literal["setting", "added"]


class NewTrustedNetwork(Struct, frozen=True, forbid_unknown_fields=True):
    """An address, or a network as `192.0.2.0/24`, to trust."""

    network: NetworkText


class RefusalQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The refusals to list: of a user, as caller or callee, and of an address or network."""

    user: UserText | None = None
    address: NetworkText | None = None
    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


class ListQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The part of the list to return."""

    limit: Limit = DEFAULT_LIMIT
    after: Cursor | None = None


def mount(operations: Operations, context: AppContext) -> None:
    """Add the operations on trouble."""
    trouble = TroubleOperations(context)
    operations.get(
        *("/refusals", trouble.refusals, "List refused requests, the newest first"),
        query=RefusalQuery,
        answer=Part[Refusal],
    )
    for path, handler, summary, answer in (
        ("/waits", trouble.waits, "List users that have to wait after wrong passwords", Part[Wait]),
        ("/bans", trouble.bans, "List banned addresses, the newest first", Part[Ban]),
        ("/trusted", trouble.trusted, "List trusted networks", Part[TrustedNetwork]),
    ):
        operations.get(path, handler, summary, query=ListQuery, answer=answer)
    for path, remove, summary, problems in (
        ("/waits/{id}", trouble.remove_wait, "Let a user try again at once", (404,)),
        ("/bans/{address}", trouble.remove_ban, "Remove a ban", (404,)),
        ("/trusted/{network}", trouble.distrust, "Stop trusting a network", (404, 409)),
    ):
        operations.change("DELETE", path, remove, summary, status=204, problems=problems)
    operations.change(
        *("POST", "/trusted", trouble.trust, "Trust a network, and remove the bans in it"),
        body=NewTrustedNetwork,
        answer=TrustedNetwork,
        status=201,
        problems=(409,),
    )


class TroubleOperations:
    """The handlers of the operations on trouble."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._service = TroubleService(context)

    def refusals(self, query: RefusalQuery) -> Part[Refusal]:
        """Return a part of the refusals."""
        after = cursors.decoded(query.after, int, str)
        rows = self._context.refusals.rows()
        if query.user is not None:
            user = self._as_shown(normalized(query.user))
            rows = [row for row in rows if user in (row.user, row.to)]
        if query.address is not None:
            network = _network("address", query.address)
            rows = [row for row in rows if parse_network(row.address).overlaps(network)]
        found, following = cursors.part(rows, _place_of, after, query.limit)
        return Part([refusal_json(row) for row in found], following)  # type: ignore[misc]

    def _as_shown(self, user: str) -> str:
        """Return a user as refusals name it: without the main realm."""
        return user.removesuffix(f"@{self._context.users.realm}")

    def waits(self, query: ListQuery) -> Part[Wait]:
        """Return a part of the waits."""
        after = cursors.number(query.after)
        page = self._context.guard.waits(after=after, limit=query.limit)
        following = None if page.next is None else str(page.next)
        return Part([wait_json(wait) for wait in page.waits], following)  # type: ignore[misc]

    def remove_wait(self, id: int) -> None:
        """Remove a wait."""
        if self._service.remove_wait(id) is None:
            raise Problem(404, "There is no such wait; it may have ended.")

    def bans(self, query: ListQuery) -> Part[Ban]:
        """Return a part of the bans."""
        after, now = cursors.decoded(query.after, int, str), self._context.clock()
        start = None if after is None else (int(after[0]), str(after[1]))
        found = self._context.bans.page(now, start, query.limit + 1)
        last = found[query.limit - 1] if len(found) > query.limit else None
        following = None if last is None else cursors.encoded((last.banned_at, last.address))
        return Part([ban_json(ban) for ban in found[: query.limit]], following)  # type: ignore[misc]

    def remove_ban(self, address: str) -> None:
        """Remove a ban."""
        try:
            self._service.remove_ban(address)
        except (NoSuchBan, ValueError):
            raise Problem(404, "This address is not banned.") from None

    def trusted(self, query: ListQuery) -> Part[TrustedNetwork]:
        """Return a part of the trusted networks."""
        after = cursors.decoded(query.after, str, str)
        context = self._context
        networks = trusted_json(context.config.guard_trusted, context.bans.trusted())

        def place_of(item: dict[str, str]) -> cursors.Key:
            return (item["source"] != "setting" and "added") or "", item["network"]

        found, following = cursors.part(networks, place_of, after, query.limit)
        return Part(found, following)  # type: ignore[arg-type]

    def trust(self, body: NewTrustedNetwork) -> TrustedNetwork:
        """Trust a network."""
        network = network_text(_network("network", body.network))
        if network in self._context.bans.trusted() or self._is_set(network):
            taken = FieldError("network", "it is trusted already")
            raise Problem(409, f"The network {network} is trusted already.", errors=(taken,))
        return TrustedNetwork(self._service.trust(network), "added")

    def distrust(self, network: str) -> None:
        """Stop trusting a network."""
        try:
            name = network_text(parse_network(network))
            if self._is_set(name) and name not in self._context.bans.trusted():
                raise Problem(409, "This network is in the setting -guard.trusted; change that.")
            self._service.distrust(name)
        except (NoSuchBan, ValueError):
            raise Problem(404, "This network is not trusted.") from None

    def _is_set(self, network: str) -> bool:
        return network in map(network_text, self._context.config.guard_trusted)


def _place_of(row: Row) -> cursors.Key:
    """Return the key of a refusal: the newest come first, at one time in a fixed order."""
    about = (row.user, row.to, row.method, row.cause, row.status, row.cure, row.address)
    digest = hashlib.sha256(repr(about).encode("utf-8", "replace")).hexdigest()
    return -int(row.last_at * 1e6), digest[:16]


def _network(name: str, text: str) -> Network:
    """Return the network of a text.  Raises Problem (422)."""
    try:
        return parse_network(text)
    except ValueError as error:
        raise invalid(name, str(error)) from None
