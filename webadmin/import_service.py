"""Import and export of users as CSV, for the pages and for the API: the same code and bounds.

The problem: a file of 100,000 rows takes 100 MB of memory and seconds of work.
The model: one file is read at a time, in the threads for imports; what it changes is written in
pieces, see pieces.py.
The bounds: MAX_IMPORTS uploads at a time, MAX_IMPORT_ROWS rows and generated passwords in memory.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import BinaryIO

from gevent.lock import BoundedSemaphore

from sip.store.account_lists import Listing, list_ids
from sip.store.audit import Act
from sip.store.columns import ColumnChoice
from sip.store.csv_file import CsvFile, Progress, TooManyRows, read_csv
from sip.store.import_pieces import apply_in_pieces
from sip.store.import_report import Report
from sip.store.importing import check, exported
from webadmin.context import Actor, AppContext
from webadmin.thread_pool import TooBusy
from webadmin.uploads import MAX_UPLOAD_BYTES

MAX_IMPORT_BYTES = MAX_UPLOAD_BYTES
# Rows of all imports together: they wait in memory, at about a kilobyte a row.
MAX_IMPORT_ROWS = 200_000
# Imports at a time, and uploads at a time: each holds its file in memory.
MAX_IMPORTS = 4
# How long an import of a page may wait to be applied, or its report to be read, in seconds.
MAX_AGE_SECONDS = 15 * 60


class ImportService:
    """Reads, checks and applies CSV files, and exports all users.

    `passwords_held` returns the number of generated passwords that pages keep in memory.
    """

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._uploads = 0
        self._reads = BoundedSemaphore()  # one file is read at a time, so that the row limit holds
        self._files: list[CsvFile] = []  # in memory
        self.passwords_held: Callable[[], int] = int

    @contextmanager
    def upload(self) -> Iterator[None]:
        """Count an upload while it is received.  Raises TooBusy before anything is received."""
        if self._uploads >= MAX_IMPORTS:
            raise TooBusy("too many uploads at the same time; try again in a minute")
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    def read(
        self,
        file: BinaryIO,
        *,
        update: bool,
        generate: bool,
        ask_later: bool = False,
        choice: ColumnChoice | None = None,
        progress: Progress = lambda rows: None,
    ) -> CsvFile:
        """Read a file; call `free` when it is no longer needed.  Raises BadFile and TooBusy.

        Unknown columns and a guessed encoding are refusals, unless `ask_later`.  Without `choice`,
        the header says what the columns are.
        """
        with self._reads:
            held = sum(len(each.rows) for each in self._files) + self.passwords_held()
            room = MAX_IMPORT_ROWS - held
            try:
                csv_file = self._context.imports.run(
                    lambda: read_csv(
                        file,
                        self._context.users.realm,
                        update=update,
                        generate=generate,
                        skip_unknown=ask_later,
                        accept_guess=ask_later,
                        max_rows=room,
                        choice=choice,
                        progress=progress,
                    )
                )
            except TooManyRows:
                if not held:
                    raise
                raise TooBusy(
                    f"at most {room:,} rows fit until other imports are applied or cancelled;"
                    f" try again in {MAX_AGE_SECONDS // 60} min"
                ) from None
            self._files.append(csv_file)
        return csv_file

    def check(self, csv_file: CsvFile) -> Report:
        """Report what `apply` would change."""
        return check(self._context.users, csv_file)

    def apply(self, csv_file: CsvFile, by: Actor, progress: Progress = lambda rows: None) -> Report:
        """Write all rows of a file or, if any row is refused, none."""
        users, run = self._context.users, self._context.imports.run
        report = apply_in_pieces(users, csv_file, run, by=by.name, progress=progress)
        if report.written:
            self._context.record(Act.IMPORTED, report.summary, by)
        return report

    def free(self, csv_file: CsvFile) -> None:
        """Free the memory of a file that was read."""
        self._files = [each for each in self._files if each is not csv_file]
        self.release(csv_file.release)

    def release(self, work: Callable[[], None]) -> None:
        """Run `work`, which frees many objects, in a thread: it would block the event loop."""
        with suppress(TooBusy):  # then they are freed at once
            self._context.imports.run(work)

    def export(
        self, *, with_hashes: bool, for_spreadsheet: bool = False, listing: Listing | None = None
    ) -> Iterator[str]:
        """Return the users of a list as CSV, in blocks of rows; all users without a list.

        The first blocks are read before the response starts, so that an error can still be shown.
        """
        ids = None if listing is None else list_ids(self._context.directory, listing)
        blocks = exported(
            self._context.users,
            with_hashes=with_hashes,
            for_spreadsheet=for_spreadsheet,
            chosen=ids,
        )
        start = next(blocks) + next(blocks, "")
        about = "with HA1s" if with_hashes else "without HA1s"
        if listing is not None and ids is not None:
            filters = filter(None, (listing.search, *listing.states, listing.realm))
            about += f", {len(ids):,} found by {', '.join(filters)}"
        self._context.record(Act.EXPORTED, about)
        return chain([start], blocks)
