"""Undo of changes of many users from the audit page, and the words of its result."""

from bottle import Bottle, HTTPError

from sip.store.audit import Act
from sip.store.undo import NoSuchStep, Undo, Undone
from webadmin.context import Actor, AppContext
from webadmin.routes import Result, route


def mount(app: Bottle, context: AppContext) -> None:
    """Add the route of the form to `app`."""

    def undo(number: int) -> Result:
        try:
            done = undo_step(context, number)
        except NoSuchStep as error:
            raise HTTPError(409, f"{str(error).capitalize()}.") from None
        return context.flash("/audit", undone_text(done))

    app.router.add_filter("step", lambda _: ("[0-9]{1,18}", int, None))
    route(app, "POST", "/audit/undo/<number:step>", undo)


def undo_step(context: AppContext, number: int, by: Actor | None = None) -> Undone:
    """Undo a step, and record that in the audit.  Raises NoSuchStep."""
    done = Undo(context.users).undo(number)
    about = f"{done.step.act}: {done.undone:,} users as before"
    if done.kept:
        about += f", {done.kept:,} changed since and kept"
    context.record(Act.CHANGE_UNDONE, about, by)
    return done


def undone_text(done: Undone) -> str:
    """Return sentences about the result; they name users that were changed since."""
    text = f"Undone: {done.undone:,} {'user is' if done.undone == 1 else 'users are'} as before."
    if not done.kept:
        return text
    one = done.kept == 1
    text += f" {done.kept:,} {'user was' if one else 'users were'} changed or deleted since then,"
    text += " and stays" if one else " and stay"
    names = ", ".join(done.kept_names)
    more = done.kept - len(done.kept_names)
    if names and more:
        names += f" and {more:,} more"
    return f"{text} as {'it is' if one else 'they are'}{f': {names}' if names else ''}."
