"""The command line: flags made from the settings table, commands, and exit codes.

Imports nothing heavy, so that `-help` answers at once; the stores are loaded by the commands
that need them.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn, TypeAlias

from sip import __version__
from sip.config import (
    PREFIX,
    SETTINGS,
    CommandError,
    Config,
    gather,
    known_variables,
    unknown_variables,
)
from sip.suggestions import nearest, similar

PROGRAM = "sipserver.py"

_Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_PASSWORD = ("--password", "-password")

# What other programs call our commands, where the letters don't tell.
_OTHER_WORDS = {
    **dict.fromkeys(("create", "new", "insert"), "add"),
    **dict.fromkeys(("delete", "del", "rm", "erase", "unban", "lift"), "remove"),
    **dict.fromkeys(("ls", "show", "all"), "list"),
    **dict.fromkeys(("passwd", "pw", "reset"), "password"),
    **dict.fromkeys(("allow", "whitelist"), "trust"),
    **dict.fromkeys(("untrust", "disallow"), "distrust"),
    **dict.fromkeys(("lock", "block", "off"), "disable"),
    **dict.fromkeys(("unlock", "unblock", "on"), "enable"),
    **dict.fromkeys(("load", "read"), "import"),
    **dict.fromkeys(("dump", "save", "backup"), "export"),
}

_DESCRIPTION = "A SIP registrar and proxy with a web admin. Without a command it runs the server."
_ABOUT_USERS = "add, import, export, list, remove, enable or disable accounts, set passwords"
_ABOUT_BANS = "show which addresses are banned or trusted, lift a ban, trust a network"
_ABOUT_FORGIVE = "lift the wait of a user after wrong passwords"
_ABOUT_ADMIN = "set the password of the web admin's account"
_EPILOG = (
    "A flag beats the environment, which beats the file. Flags stand before or after the command,"
    " with one dash or two. `users -help`, `bans -help` and `admin -help` tell about the commands."
)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: object) -> None:
        options = {
            "add_help": False,
            "allow_abbrev": False,
            "formatter_class": _HelpFormatter,
            **options,
        }
        super().__init__(**options)  # type: ignore[arg-type]  # argparse hands these on to itself
        self.add_argument("-help", "--help", "-h", action="help", help="show this and exit")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse an unknown command the way that an unknown flag is refused."""
        if action.choices is not None and value not in action.choices:
            self.error(_no_such_command(self, str(value)))

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {message}; -help shows what there is\n")


class _HelpFormatter(argparse.HelpFormatter):
    """Shows each flag in one spelling, the one of the documentation."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        value = f" {action.metavar}" if isinstance(action.metavar, str) else ""
        return action.option_strings[0] + value


def main(
    arguments: Sequence[str],
    run_server: Callable[[Config], int],
    environment: Mapping[str, str] | None = None,
) -> int:
    """Do what the command line says and return the exit code.

    `run_server` is what runs when no command is given; it comes from above, as this module knows
    no web admin.  `environment` is the process's own where none is given.
    """
    environment = os.environ if environment is None else environment
    try:
        options = _parse(arguments)
    except SystemExit as leaving:  # argparse has shown help, or said what is wrong
        return int(leaving.code or 0)
    try:
        config = _gathered(options, environment)
        if unknown := unknown_variables(environment):
            _say(f"warning: not a setting, and ignored: {', '.join(map(_with_guess, unknown))}")
        return _do(options, config, run_server, environment)
    except CommandError as error:
        _say(str(error))
        return error.status
    except KeyboardInterrupt:
        shown = ": `users list` shows which" if options.command == "users" else ""
        _say(f"interrupted; what was asked is done whole or not at all{shown}")
        return 1


def settings(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Config:
    """Read the settings anew, as `main` has: the file may say something else by now.

    Raises ConfigError.
    """
    return _gathered(_parse(arguments), os.environ if environment is None else environment)


def _gathered(options: argparse.Namespace, environment: Mapping[str, str]) -> Config:
    flags = {name: vars(options)[name] for name in SETTINGS if name in vars(options)}
    return gather(flags, environment)


def _do(
    options: argparse.Namespace,
    config: Config,
    run_server: Callable[[Config], int],
    environment: Mapping[str, str],
) -> int:
    # The commands import dataset, which takes half a second.
    match options.command:
        case "users":
            from sip.cli import users as user_commands

            return user_commands.execute(options, config)
        case "bans":
            from sip.cli import bans as ban_commands

            return ban_commands.execute(options, config)
        case "admin":
            from sip.cli import admin as admin_commands

            return admin_commands.execute(options, config, environment)
        case "forgive":
            from sip.cli import forgive as server_commands

            return server_commands.forgive(options, config)
    return run_server(config)


def _say(sentence: str) -> None:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)


def _with_guess(variable: str) -> str:
    """Put a guess at what was meant behind an unknown environment variable."""
    endings = sorted(name.removeprefix(PREFIX) for name in known_variables())
    guess = similar(variable.removeprefix(PREFIX), endings)
    return f"{variable} (did you mean {PREFIX}{guess}?)" if guess else variable


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser, spellings = _build()
    for argument, before in zip(arguments, ("", *arguments), strict=False):
        flag = argument.partition("=")[0]
        is_flag = flag.startswith("-") and flag != "-" and " " not in flag
        if is_flag and before in _PASSWORD:
            parser.error(f"{before} needs a password; one that begins with a dash is {before}=-...")
        if argument == "--":
            break
        # argparse would take the value of a flag it doesn't know for the command.
        if is_flag and flag not in spellings:
            single_dashed = [spelling for spelling in spellings if spelling[:2] != "--"]
            guess = nearest("-" + flag.lstrip("-"), single_dashed)
            parser.error(f"there is no flag {flag}{guess}")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if value == []:  # what Python 3.11 makes of `--password=--`
            setattr(options, name, "--")
    return options


def _build() -> tuple[argparse.ArgumentParser, frozenset[str]]:
    """Make the parser, and the set of every flag that it or one of its commands takes."""
    parser: argparse.ArgumentParser = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [flags] [users COMMAND ... | bans ... | forgive USER | admin password]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    _add_settings(parser, visible=True)
    parser.add_argument(
        "-version",
        "--version",
        action="version",
        version=__version__,
        help="show the version and exit",
    )
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", title="commands", prog=PROGRAM
    )
    _add_user_commands(_subcommand(commands, "users", _ABOUT_USERS))
    _add_ban_commands(_subcommand(commands, "bans", _ABOUT_BANS))
    _add_forgive(_subcommand(commands, "forgive", _ABOUT_FORGIVE))
    _add_admin_commands(_subcommand(commands, "admin", _ABOUT_ADMIN))
    spellings = (flag for each in _all(parser) for flag in each._option_string_actions)
    return parser, frozenset(spellings)


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Give the parser and those of all its commands."""
    yield parser
    for below in _commands_of(parser).values():
        yield from _all(below)


def _commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the commands that a parser takes, by their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def _no_such_command(parser: argparse.ArgumentParser, word: str) -> str:
    """Say that there is no such command, with a guess at what was meant, or all there are."""
    before = f"{parser.prog.removeprefix(PROGRAM)} ".lstrip()
    commands = _commands_of(parser)
    guess = _meant(word, list(commands))
    for name, below in commands.items():  # `list` for `users list`
        action = _meant(word, list(_commands_of(below)))
        if action == word.lower() or (action and not guess):
            guess = f"{name} {action}"
            break
    shown = word if word.isprintable() else repr(word)
    if guess:
        return f"there is no command {before}{shown}; did you mean {before}{guess}?"
    return f"there is no command {before}{shown}; there are {', '.join(commands)}"


def _meant(word: str, commands: list[str]) -> str:
    """Return the command that a word is another word for, or is most like; "" for none."""
    other = _OTHER_WORDS.get(word.lower(), "")
    return other if other in commands else similar(word.lower(), commands)


def _subcommands(parser: argparse.ArgumentParser, command: str) -> _Subcommands:
    parser.usage = f"{PROGRAM} {command} COMMAND [...] [flags]"
    return parser.add_subparsers(
        dest="action",
        metavar="COMMAND",
        title="commands",
        required=True,
        prog=f"{PROGRAM} {command}",
    )


def _subcommand(commands: _Subcommands, name: str, about: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about.capitalize())
    _add_settings(parser, visible=False)
    return parser


def _add_user_commands(users: argparse.ArgumentParser) -> None:
    commands = _subcommands(users, "users")

    def action(name: str, about: str) -> argparse.ArgumentParser:
        return _subcommand(commands, name, about)

    named = (
        _named(_secret(action("add", "create an account"))),
        _named(action("remove", "delete an account")),
        _named(_secret(action("password", "set the password of an account"))),
        _named(action("enable", "let an account register and call again")),
        _named(action("disable", "keep an account, but refuse its phones")),
    )
    listing = action("list", "show all accounts")
    listing.add_argument("--json", "-json", action="store_true", help="as a JSON array")
    for made in (*named, listing):
        made.add_argument("--realm", "-realm", metavar="REALM", help="another than the main realm")
    taking = action("import", "import accounts from a CSV file (all or nothing)")
    taking.add_argument("file", metavar="FILE.csv", help="the file; - is standard input")
    taking.add_argument("--dry-run", "-dry-run", action="store_true", help="report, write nothing")
    taking.add_argument("--update", "-update", action="store_true", help="let rows change accounts")
    taking.add_argument(
        "--generate",
        "-generate",
        action="store_true",
        help="generate passwords for new accounts without one, and print them as CSV",
    )
    taking.add_argument(
        "--skip-unknown", "-skip-unknown", action="store_true", help="leave unknown columns out"
    )
    taking.add_argument(
        "--encoding", "-encoding", metavar="NAME", help="encoding of the file, as windows-1252"
    )
    giving = action("export", "write all accounts as CSV")
    giving.add_argument(
        "file", metavar="FILE.csv", nargs="?", default="-", help="the file; - is standard output"
    )
    giving.add_argument(
        "--with-hashes", "-with-hashes", action="store_true", help="include the secret HA1s"
    )


def _add_ban_commands(bans: argparse.ArgumentParser) -> None:
    commands = _subcommands(bans, "bans")
    commands.required = False  # `bans` alone lists them
    _subcommand(
        commands,
        "list",
        "show who is banned or has to wait, until when and why, and who is trusted",
    )
    for name, about in (
        ("remove", "lift the ban of an address"),
        ("trust", "never limit or ban a network, and lift the bans in it"),
        ("distrust", "trust a network no more"),
    ):
        made = _subcommand(commands, name, about)
        made.add_argument(
            "address", metavar="ADDRESS", help="an address, or a network 192.0.2.0/24"
        )


def _add_forgive(forgive: argparse.ArgumentParser) -> None:
    forgive.usage = f"{PROGRAM} forgive USER [ADDRESS] [flags]"
    forgive.add_argument("user", metavar="USER", help="what stands before the @ of the SIP address")
    forgive.add_argument(
        "address",
        metavar="ADDRESS",
        nargs="?",
        help="an address or a network where the phone is; without it, everywhere",
    )
    forgive.epilog = "Asks the running server, which is found by its database (-db.path)."


def _add_admin_commands(admin: argparse.ArgumentParser) -> None:
    _secret(_subcommand(_subcommands(admin, "admin"), "password", "set the web admin's password"))


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", metavar="NAME", help="what stands before the @ of the SIP address")
    return parser


def _secret(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--password",
        "-password",
        metavar="P",
        help="the password; other users of this machine can see it while the command runs",
    )
    group.add_argument(
        "--generate", "-generate", action="store_true", help="make a password and print it"
    )
    parser.epilog = "With neither, asks on a terminal, and reads one line of standard input else."
    return parser


def _add_settings(parser: argparse.ArgumentParser, *, visible: bool) -> None:
    """Give a parser the flags of the settings table.

    A flag that is not given leaves no trace: else the defaults of a command would overwrite what
    stood before it.
    """
    for entry in SETTINGS.values():
        default = f"default {entry.default}" if entry.default else "no default"
        variables = ", else ".join((entry.variable, *entry.also))
        parser.add_argument(
            f"-{entry.name}",
            f"--{entry.name}",
            dest=entry.name,
            default=argparse.SUPPRESS,
            metavar=entry.value,
            help=f"{entry.meaning} ({default}; {variables})" if visible else argparse.SUPPRESS,
        )
