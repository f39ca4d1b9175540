"""Pages of changes of many chosen users: the choice, the confirmation, the result, the undo."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice

from bottle import HTTPError, request, response

from sip.store.audit import Act
from sip.store.directory import Question
from sip.store.importing import password_blocks
from sip.store.undo import NoSuchStep, Undo, UndoStep
from webadmin.audit_text import actor_text, details_text
from webadmin.bulk_jobs import ACTS, BulkJobs
from webadmin.context import AppContext, form_value, is_full_page, is_part_of_page, redirect
from webadmin.imports import MAX_SHOWN_PASSWORDS
from webadmin.language import N_, _, ngettext, translated, translated_sentence
from webadmin.numbers import thousands
from webadmin.routes import Result
from webadmin.templates import render
from webadmin.undo_text import undone_text
from webadmin.user_selection import MAX_CHOSEN, Selection, Selections

# Names on the page that asks for a confirmation.
_SOME = 10
_MAX_TICKS = 1_000  # of one page
_STALE = N_("The choice of users has changed since this page was shown. Choose them again.")
_BYTE_ORDER_MARK = "\ufeff"  # without it spreadsheet programs do not detect UTF-8


def heading(act: str, count: int) -> str:
    """Return the question of the page that asks for a confirmation."""
    match act:
        case "enable":
            text = ngettext("Enable {count} user?", "Enable {count} users?", count)
        case "disable":
            text = ngettext("Disable {count} user?", "Disable {count} users?", count)
        case "delete":
            text = ngettext("Delete {count} user?", "Delete {count} users?", count)
        case _:
            text = ngettext(
                "Give new passwords to {count} user?", "Give new passwords to {count} users?", count
            )
    return text.format(count=thousands(count))


def button(act: str, count: int) -> str:
    """Return the text of the button that makes the change."""
    match act:
        case "enable":
            text = ngettext("Enable {count} user", "Enable {count} users", count)
        case "disable":
            text = ngettext("Disable {count} user", "Disable {count} users", count)
        case "delete":
            text = ngettext("Delete {count} user", "Delete {count} users", count)
        case _:
            text = ngettext(
                "Make new passwords for {count} user", "Make new passwords for {count} users", count
            )
    return text.format(count=thousands(count))


def step_text(step: UndoStep) -> str:
    """Return a sentence for a change that can be undone.

    An act of another kind is shown with what the audit says about it.
    """
    count = step.accounts
    match step.act:
        case Act.USERS_ENABLED:
            text = ngettext("{count} user was enabled.", "{count} users were enabled.", count)
        case Act.USERS_DISABLED:
            text = ngettext("{count} user was disabled.", "{count} users were disabled.", count)
        case Act.USERS_DELETED:
            text = ngettext("{count} user was deleted.", "{count} users were deleted.", count)
        case Act.USERS_PASSWORDS:
            text = ngettext(
                "{count} user was given new passwords.",
                "{count} users were given new passwords.",
                count,
            )
        case _:
            act = translated(step.act)
            return f"{act[:1].upper()}{act[1:]}: {details_text(step.act, step.about)}."
    return text.format(count=thousands(count))


class BulkPages:
    """The pages at /users/choose, /users/act and /users/undo.

    `question` returns what the query of the request asks for, with the ids in trouble, and
    `list_query` the query of a list's URL.
    """

    def __init__(
        self,
        context: AppContext,
        question: Callable[[], Question],
        list_query: Callable[[Question], str],
    ) -> None:
        self._context = context
        self._question = question
        self._list_query = list_query
        self._jobs = BulkJobs(context)
        self._undo = Undo(context.users)
        self._selections = Selections(context.monotonic)

    @property
    def selection(self) -> Selection:
        """The users that the session of the request has chosen."""
        return self._selections.of(self._session)

    def steps(self) -> list[UndoStep]:
        """Return the changes that can be undone, the latest first."""
        return self._undo.steps()

    @property
    def _session(self) -> int:
        return self._context.session.id if self._context.session else 0

    @property
    def _back(self) -> str:
        return f"/users{self._list_query(self._question())}"

    def choose(self) -> Result:
        """Take over the ticks of a page; or choose all users of the list, or none."""
        if form_value("all"):
            found = self._context.directory.matching(replace(self._question(), page=1), MAX_CHOSEN)
            self._selections.replace(self._session, found)
        elif form_value("none"):
            self._selections.clear(self._session)
        else:
            self._take_ticks()
        if is_part_of_page():
            return render(
                "users_chosen.tpl",
                chosen=len(self.selection.ids),
                total=_number(form_value("total")),
                list_query=self._list_query(self._question()),
            )
        return redirect(self._back)

    def _take_ticks(self) -> None:
        shown = _numbers(form_value("shown").split(","))
        self._selections.tick(self._session, shown, _numbers(request.forms.getall("id")))

    def ask(self) -> Result:
        """Take over the ticks, and show the page that asks for a confirmation."""
        self._take_ticks()
        act = form_value("act")
        if act not in ACTS:
            raise HTTPError(422, "There is no such change.")
        if not self.selection.ids:
            return self._context.flash(self._back, _("No user is chosen. Tick some users first."))
        query = self._list_query(self._question())
        return redirect(f"/users/act/{act}{query}")

    def confirm(self, act: str) -> Result:
        """Return the page that asks for a confirmation."""
        selection = self.selection
        if act not in ACTS:
            raise HTTPError(404, "There is no page at this address.")
        if not selection.ids:
            return redirect(self._back)
        some = self._context.directory.entries([*islice(selection.ids, _SOME)])
        return self._context.page(
            "bulk_confirm.tpl",
            section="/users",
            act=act,
            count=len(selection.ids),
            head=heading(act, len(selection.ids)),
            button=button(act, len(selection.ids)),
            number=selection.number,
            names=sorted(entry.username for entry in some),
            list_query=self._list_query(self._question()),
        )

    def apply(self, act: str) -> Result:
        """Change the chosen users.  Raises HTTPError(409) if they are not those of the page."""
        selection = self.selection
        if act not in ACTS:
            raise HTTPError(404, "There is no page at this address.")
        if not selection.ids or form_value("number") != str(selection.number):
            raise HTTPError(409, _STALE)
        job = self._jobs.start(self._session, act, selection.ids)
        self._selections.clear(self._session)
        if job.is_working or job.error or job.changed.passwords or not job.changed.step:
            return redirect(f"/users/act{self._list_query(self._question())}")
        self._jobs.remove(self._session, job)
        return redirect(self._with_undo(job.changed.step))

    def _with_undo(self, step: int) -> str:
        query = self._list_query(self._question())
        return f"/users{query}{'&' if query else '?'}undo={step}"

    def job(self) -> Result:
        """Return the page of the change that goes on, or of its result; passwords once."""
        job = self._jobs.of(self._session)
        if job is None:
            return redirect(self._back)
        passwords = []
        if job.changed.passwords and len(job.changed.passwords) <= MAX_SHOWN_PASSWORDS:
            if is_full_page():
                passwords = job.take_passwords()
                self._context.leave_uncompressed()
            else:
                response.set_header("HX-Refresh", "true")  # reload: a full page shows them
        return self._context.page(
            "bulk_job.tpl",
            section="/users",
            job=job,
            refresh=2 if job.is_working else 0,
            step=self._step(job.changed.step),
            step_text=step_text,
            actor_text=actor_text,
            details_text=details_text,
            passwords=passwords,
            password_sheet="".join(password_blocks(passwords)),
            list_query=self._list_query(self._question()),
        )

    def download(self) -> Iterable[str]:
        """Return the new passwords as a CSV file, once.  Raises HTTPError(409)."""
        job = self._jobs.of(self._session)
        passwords = job.take_passwords() if job and str(job.number) == form_value("number") else []
        if not passwords:
            raise HTTPError(409, "These passwords were already shown. There is no copy of them.")
        self._context.leave_uncompressed()
        response.content_type = "text/csv; charset=UTF-8"
        response.set_header("Content-Disposition", 'attachment; filename="passwords.csv"')

        def blocks() -> Iterator[str]:
            try:
                yield from password_blocks(passwords, for_spreadsheet=True)
            finally:
                self._jobs.release(passwords)

        return chain([_BYTE_ORDER_MARK], blocks())

    def show_steps(self) -> Result:
        """Return the page of the changes of the last hour."""
        return self._context.page(
            "users_undo.tpl",
            section="/users",
            steps=self.steps(),
            step_text=step_text,
            actor_text=actor_text,
            details_text=details_text,
            list_query=self._list_query(self._question()),
        )

    def undo(self, number: int) -> Result:
        """Undo one change.  Raises HTTPError(409) if that is no longer possible."""
        try:
            undone = self._undo.undo(number)
        except NoSuchStep as error:
            raise HTTPError(409, translated_sentence(str(error))) from None
        step = undone.step
        self._context.record(Act.USERS_UNDONE, f"{step.act}, {step.about}")
        return self._context.flash(self._back, undone_text(undone))

    def step_of_query(self) -> UndoStep | None:
        """Return the change that the list shows a banner for, None without one."""
        return self._step(_number(request.query.get("undo", "")))

    def _step(self, number: int) -> UndoStep | None:
        return next((step for step in self.steps() if step.id == number), None)


def _number(text: str) -> int:
    """Return a number in a request, 0 for another text."""
    return next(iter(_numbers([text])), 0)


def _numbers(texts: Iterable[str]) -> list[int]:
    """Return the ids among the texts of a request; int() refuses thousands of digits."""
    some = islice(texts, _MAX_TICKS)
    return [int(text) for text in some if text.isascii() and text.isdecimal() and len(text) < 19]
