"""Operations on CSV files of users: import, all rows or none, and export."""

from collections.abc import Generator, Iterable, Sequence
from typing import Any, BinaryIO, Protocol

import msgspec
from msgspec import Struct

from sip.memory import release_memory
from sip.store.account_lists import Listing
from sip.store.csv_file import BadFile, CsvFile
from sip.store.import_report import NewPassword, Report
from webadmin.api.operations import (
    CSV,
    UNCOMPRESSED,
    Encoded,
    Operations,
    WithHeaders,
    require_admin,
)
from webadmin.api.problems import Problem
from webadmin.api.shapes import Realm, Search, State
from webadmin.context import AppContext
from webadmin.import_service import MAX_IMPORT_BYTES, ImportService

# Items of a report that are encoded at once, about 50 kB.
_PIECE = 500


class ImportQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How to import: `dry_run` writes nothing, `update` lets rows change users.

    With `generate`, a new user without a password gets a generated one.
    """

    dry_run: bool = False
    update: bool = False
    generate: bool = False


class ExportQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The users to export: those that match `q`, in one of the states, of a realm, as in the list.

    With `hashes`, the file has the HA1s of the passwords, for tokens with the role admin.
    """

    q: Search = ""
    state: tuple[State, ...] = ()
    realm: Realm | None = None
    hashes: bool = False


class RefusedRow(Struct, frozen=True):
    """A row that is refused; the header is line 1."""

    line: int
    reason: str


class ChangedRow(Struct, frozen=True):
    """A row that changes a user; `fields` are the names of the changed fields."""

    line: int
    username: str
    fields: list[str]


class RemarkOnRow(Struct, frozen=True):
    """A warning about a row that is not refused."""

    line: int
    text: str


class GeneratedPassword(Struct, frozen=True):
    """A generated password, which is answered only once."""

    username: str
    realm: str
    password: str


class ImportReport(Struct, frozen=True):
    """The numbers of new, changed and unchanged users, and rows to look at.

    At most 10,000 rows are listed in `refused`, in `changes` and in `remarks`; `refused_more` is
    the number of further refused rows.
    """

    new: int
    changed: int
    same: int
    refused_more: int
    refused: list[RefusedRow]
    changes: list[ChangedRow]
    remarks: list[RemarkOnRow]
    passwords: list[GeneratedPassword]


class RefusedImport(ImportReport, frozen=True):
    """A problem with the fields of a report: some rows are refused, and nothing is written."""

    type: str
    title: str
    status: int
    detail: str


class _Receive(Protocol):
    """Receives the body."""

    def __call__(self) -> BinaryIO: ...


def mount(operations: Operations, service: ImportService, context: AppContext) -> None:
    """Add the operations on CSV files."""
    files = ImportOperations(service, context)
    operations.change(
        *("POST", "/users/import", files.read, "Import users from CSV, all rows or none"),
        query=ImportQuery,
        body=CSV,
        most_bytes=MAX_IMPORT_BYTES,
        answer=ImportReport,
        refusal=RefusedImport,
    )
    operations.get(
        *("/users/export.csv", files.export, "Export users as CSV"),
        query=ExportQuery,
        answer=CSV,
        problems=(403,),
    )


class ImportOperations:
    """The handlers of import and export."""

    def __init__(self, service: ImportService, context: AppContext) -> None:
        self._service = service
        self._context = context

    def read(self, query: ImportQuery, body: _Receive) -> Encoded:
        """Import a file, or report what that would change."""
        service, actor = self._service, self._context.actor
        with service.upload():
            try:
                csv_file = service.read(body(), update=query.update, generate=query.generate)
            except BadFile as error:
                raise Problem(422, f"{error}.") from None
            try:
                if query.dry_run:
                    report = service.check(csv_file)
                else:
                    report = service.apply(csv_file, actor)
            except BaseException:
                service.free(csv_file)
                raise
        status = 422 if report.refused else 0
        return Encoded(self._pieces(report, csv_file), status)

    def _pieces(self, report: Report, csv_file: CsvFile) -> Generator[bytes, None, None]:
        """Yield the answer, and free the memory of the import."""
        try:
            yield from _encoded(report, self._context.users.realm)
        finally:
            passwords = report.passwords
            self._service.release(lambda: release_memory(passwords))
            self._service.free(csv_file)

    def export(self, query: ExportQuery) -> WithHeaders:
        """Return the users of a list, or all."""
        if query.hashes:
            require_admin()
        listing = Listing(
            search=query.q.strip(),
            states=query.state,
            realm=query.realm,
            trouble=self._context.users_in_trouble() if "trouble" in query.state else (),
        )
        is_filtered = bool(listing.search or listing.states or listing.realm)
        blocks = self._service.export(
            with_hashes=query.hashes, listing=listing if is_filtered else None
        )
        body = Encoded(block.encode() for block in blocks)
        return WithHeaders(body, UNCOMPRESSED if query.hashes else {})


def _encoded(report: Report, realm: str) -> Iterable[bytes]:
    """Yield a report as JSON, piece by piece: all of it at once could block SIP for 100 ms."""
    numbers: dict[str, Any] = {}
    if report.refused:
        detail = f"Nothing is written: {report.refusals:,} rows are refused."
        if report.refusals == 1:
            detail = "Nothing is written: 1 row is refused."
        numbers = {
            "type": "about:blank",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": detail,
        }
    numbers |= {
        "new": report.new,
        "changed": report.changed,
        "same": report.same,
        "refused_more": report.refused_more,
    }
    yield msgspec.json.encode(numbers)[:-1]

    def password(each: NewPassword) -> GeneratedPassword:
        return GeneratedPassword(each.username, each.realm or realm, each.password)

    yield from _list("refused", report.refused, lambda each: RefusedRow(*each))
    yield from _list("changes", report.changes, lambda each: ChangedRow(*each))
    yield from _list("remarks", report.remarks, lambda each: RemarkOnRow(*each))
    yield from _list("passwords", report.passwords, password)
    yield b"}"


def _list(name: str, items: Sequence[Any], shaped: Any) -> Iterable[bytes]:
    """Yield a field that has a list, piece by piece."""
    yield f',"{name}":['.encode()
    for start in range(0, len(items), _PIECE):
        part = [shaped(each) for each in items[start : start + _PIECE]]
        yield (b"," if start else b"") + msgspec.json.encode(part)[1:-1]
    yield b"]"
