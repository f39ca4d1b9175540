"""The argument parser: its errors with "did you mean", and the layout of `-help`."""

import argparse
from collections.abc import Mapping
from typing import NoReturn

from sip.suggestions import similar

PROGRAM = "sipserver.py"

# Synonyms from other programs, for "did you mean" where the spelling is not similar.
_SYNONYMS = {
    **dict.fromkeys(("create", "new", "insert"), "add"),
    **dict.fromkeys(("delete", "del", "rm", "erase", "unban", "lift"), "remove"),
    **dict.fromkeys(("ls", "show", "all"), "list"),
    **dict.fromkeys(("passwd", "pw", "reset"), "password"),
    **dict.fromkeys(("allow", "whitelist"), "trust"),
    **dict.fromkeys(("untrust", "disallow"), "distrust"),
    **dict.fromkeys(("lock", "block", "off"), "disable"),
    **dict.fromkeys(("unlock", "unblock", "on"), "enable"),
    **dict.fromkeys(("load", "read"), "import"),
    **dict.fromkeys(("dump", "save"), "export"),
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors say which command or flag was meant."""

    def __init__(self, **options: object) -> None:
        options = {
            "add_help": False,
            "allow_abbrev": False,
            "formatter_class": HelpFormatter,
            **options,
        }
        super().__init__(**options)  # type: ignore[arg-type]  # argparse hands these on to itself
        self.add_argument("-help", "--help", "-h", action="help", help="show this help and exit")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse an unknown command in the same way as an unknown flag."""
        if not isinstance(action, argparse._SubParsersAction):
            super()._check_value(action, value)
        elif value not in action.choices:
            self.error(_no_such_command(self, str(value)))

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {message}; see -help\n")


class HelpFormatter(argparse.HelpFormatter):
    """Shows each flag once, in the spelling of the documentation."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        value = f" {action.metavar}" if isinstance(action.metavar, str) else ""
        return action.option_strings[0] + value


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the parsers of the commands below a parser, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def _no_such_command(parser: argparse.ArgumentParser, word: str) -> str:
    """Return the error for an unknown command: with a similar command, or all commands."""
    before = f"{parser.prog.removeprefix(PROGRAM)} ".lstrip()
    commands = commands_of(parser)
    guess = _similar_command(word, list(commands))
    for name, below in commands.items():  # `list` for `users list`
        action = _similar_command(word, list(commands_of(below)))
        is_nearer = not guess or similar(word.lower(), [guess, action]) == action
        if action == word.lower() or (action and is_nearer):
            guess = f"{name} {action}"
            break
    shown = word if word.isprintable() else repr(word)
    if guess:
        return f"there is no command {before}{shown}; did you mean {before}{guess}?"
    return f"there is no command {before}{shown}; the commands are {', '.join(commands)}"


def _similar_command(word: str, commands: list[str]) -> str:
    """Return the command that `word` is a synonym of, or is most similar to; "" for none."""
    synonym = _SYNONYMS.get(word.lower(), "")
    return synonym if synonym in commands else similar(word.lower(), commands)
