"""The texts of the audit in the language of the request.

The database has them in English, composed: `wrong password of admin`.  Each act has its own
templates, so that a name which happens to be one of our words stays as it is.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from sip.store.audit import Act
from webadmin.composed_text import ComposedTexts
from webadmin.language import N_, POINT, THOUSANDS, _, current_code, pgettext, translated

_USERS: Final = (
    N_("{count} user: {names}"),
    N_("{count} users: {names}"),
    N_("{count} users"),
    N_("no user"),
)
_GROUP: Final = (N_("{group}; then {target}"),)
_OWN: Final = (N_("{name}, on /me"), N_("{name}, on /me: {changes}"))

_TEMPLATES: Final[Mapping[Act, tuple[str, ...]]] = {
    Act.SIGNED_IN: (N_("{browser} on {system}"), N_("unknown browser")),
    Act.SIGN_IN_REFUSED: (
        N_("wrong name"),
        N_("wrong name, no further tries for a while"),
        N_("wrong password of {name}"),
        N_("wrong password of {name}, no further tries for a while"),
        N_("wrong code of {name}"),
    ),
    Act.SESSION_ENDED: (
        N_("{browser} on {system}, from {address}"),
        N_("{browser}, from {address}"),
    ),
    Act.PASSWORD_CHANGED: (
        N_("all other sessions ended"),
        N_("{name}, all sessions ended"),
        N_("at its start"),
    ),
    Act.FACTOR_ON: (N_("all other sessions ended"),),
    Act.RECOVERY_CODE_USED: (N_("{name}, {count} left"),),
    Act.USER_CALLS: _OWN,
    Act.OWN_PASSWORD: _OWN,
    Act.OWN_PHONE: _OWN,
    Act.GROUP_ADDED: _GROUP,
    Act.GROUP_CHANGED: _GROUP,
    Act.GROUP_REMOVED: _GROUP,
    Act.GROUP_RESTORED: _GROUP,
    Act.USERS_ENABLED: _USERS,
    Act.USERS_DISABLED: _USERS,
    Act.USERS_DELETED: _USERS,
    Act.USERS_PASSWORDS: _USERS,
    Act.SETTINGS_FETCHED: (
        N_("{name}, by a link"),
        N_("{name}, by the desk phone {mac}"),
        N_("{name}, with a new password, by the desk phone {mac}"),
    ),
    Act.IMPORTED: (
        N_("{new} new, {changed} changed"),
        N_("{new} new, {changed} changed, {count} password generated"),
        N_("{new} new, {changed} changed, {count} passwords generated"),
    ),
    Act.EXPORTED: (
        N_("with HA1s"),
        N_("without HA1s"),
        N_("with HA1s, {count} found by {filters}"),
        N_("without HA1s, {count} found by {filters}"),
    ),
    Act.HISTORY_EXPORTED: (N_("all calls"),),
    Act.WAIT_LIFTED: (N_("{name} from {address}"),),
    Act.CALL_HUNG_UP: (N_("{caller} to {callee}"),),
    Act.CREDENTIALS_SHOWN: (N_("messages of {call_id}"),),
    Act.SETTING_CHANGED: (N_("{setting}: none → {now}"), N_("{setting}: {before} → none")),
    Act.BACKED_UP: (N_("{count} octets"),),
}

# Parts of the details: those of a user on /me, and of an undo that a start has done.
_ON_ME: Final = ", on /me"
_UNFINISHED: Final = ": the server ended before it was finished"
# Actors that are neither administrators nor users: their names have blanks.
_ACTORS: Final = (
    N_("the server"),
    N_("{name} (command line)"),
    N_("{name} (phone)"),
    N_("a command"),
)


def details_text(act: str, about: str) -> str:
    """Return the details of an entry; those of an undo begin with the act that was undone."""
    if act != Act.USERS_UNDONE:
        return _in_language(current_code(), _TEMPLATES.get(Act(act), ()), about)
    undone, comma, rest = about.partition(", ")
    if not comma or undone not in list(Act):
        return about
    details, ended, _rest = rest.partition(_UNFINISHED)
    text = f"{translated(Act(undone).text)}, {details_text(undone, details)}"
    return f"{text}: {_('the server ended before it was finished')}" if ended else text


def actor_text(who: str, about: str = "") -> str:
    """Return the name of an actor; "the server" and a command are named in the language.

    An entry of a user on /me has the name in its details, see self_service/app.py.
    """
    if not who:
        name, is_own, _changes = about.partition(_ON_ME)
        return name if is_own else ""
    return _in_language(current_code(), _ACTORS, who)


@lru_cache(1000)
def _in_language(code: str, templates: tuple[str, ...], text: str) -> str:
    return _texts(code, templates).translated(text).text


@lru_cache(100)
def _texts(code: str, templates: tuple[str, ...]) -> ComposedTexts:
    return ComposedTexts(
        [(each, _(each)) for each in templates], pgettext(*THOUSANDS), pgettext(*POINT)
    )
