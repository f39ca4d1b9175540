"""The texts that scripts show, in an attribute: the policy of the pages allows no inline script."""

import json

from webadmin.language import _


def script_texts() -> str:
    """Return the texts of views/static/*.js as JSON; a script formats `{…}` in them."""
    texts = {
        "now": _("now"),
        "h": _("{count} h"),
        "min": _("{count} min"),
        "s": _("{count} s"),
        "copy": _("Copy"),
        "copied": _("Copied"),
        "selected": _("Selected"),
        "copyOf": _("Copy: {name}"),
        "copyAsText": _("Copy as text"),
        "live": _("live"),
        "theme": _("Theme: {name}"),
        "system": _("system"),
        "light": _("light"),
        "dark": _("dark"),
        "shortcuts": _("Keyboard shortcuts"),
        "useShortcuts": _("Use these shortcuts"),
        "close": _("Close"),
        "then": _("then"),
        "searchUsers": _("Search users"),
        "overview": _("Overview"),
        "calls": _("Calls"),
        "history": _("History"),
        "users": _("Users"),
        "trouble": _("Trouble"),
        "thisList": _("This list"),
    }
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
