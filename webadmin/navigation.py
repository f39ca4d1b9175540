"""The frame of all pages: the links to the sections, and the colour theme of the browser."""

from typing import Final, NamedTuple

from bottle import request

from webadmin.language import N_


class Section(NamedTuple):
    """A link of the side bar; `icon` is the id of a drawing in `views/static/icons.svg`."""

    path: str
    name: str
    icon: str


GROUPS: Final = (
    (
        "",
        (
            Section("/", N_("Overview"), "overview"),
            Section("/calls", N_("Calls"), "calls"),
            Section("/history", N_("History"), "history"),
        ),
    ),
    (
        N_("People"),
        (Section("/users", N_("Users"), "users"), Section("/groups", N_("Groups"), "groups")),
    ),
    (
        N_("Server"),
        (
            Section("/trouble", N_("Trouble"), "trouble"),
            Section("/health", N_("Health"), "health"),
            Section("/audit", N_("Audit"), "audit"),
            Section("/settings", N_("Settings"), "settings"),
            Section("/admins", N_("Administrators"), "admins"),
            Section("/tokens", N_("Tokens"), "tokens"),
            Section("/account", N_("Your account"), "account"),
        ),
    ),
)
_SECTIONS = tuple(section for _, sections in GROUPS for section in sections)
# On a narrow screen, a bar at the bottom has these links; its menu "More" has the others.
_IN_BAR = ("/", "/calls", "/users")
BAR: Final = tuple(section for section in _SECTIONS if section.path in _IN_BAR)
MENU: Final = tuple(section for section in _SECTIONS if section.path not in _IN_BAR)

THEME_COOKIE: Final = "sipserver_theme"
# The themes in the order of the switch.  "system" follows the setting of the device.
THEMES: Final = ("system", "light", "dark")
THEME_NAMES: Final = {"system": N_("system"), "light": N_("light"), "dark": N_("dark")}


def chosen_theme() -> str:
    """Return the theme of the browser of the current request."""
    theme = request.get_cookie(THEME_COOKIE, "")
    return theme if theme in THEMES else THEMES[0]


def next_theme(theme: str) -> str:
    """Return the theme that the switch leads to."""
    return THEMES[(THEMES.index(theme) + 1) % len(THEMES)]
