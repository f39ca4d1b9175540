"""The command line: flags from the settings table, commands, and exit codes.

This module imports nothing heavy, so that `-help` is fast; the commands, which need the stores, are
imported when one is given.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from sip import __version__
from sip.cli.arguments import add_maintenance_commands
from sip.cli.call_arguments import add_call_settings, add_group_commands
from sip.cli.parser import PROGRAM, Parser, commands_of
from sip.config import (
    PREFIX,
    SETTINGS,
    CommandError,
    Config,
    known_variables,
    unknown_variables,
)
from sip.memory import long_lived_objects
from sip.setting_sources import Sources
from sip.suggestions import nearest, similar

_Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_PASSWORD = ("--password", "-password")

_DESCRIPTION = "A SIP registrar and proxy with a web admin. Without a command, the server starts."
_ABOUT_USERS = "manage accounts: add, remove, list, import, export, enable, disable, set passwords"
_ABOUT_GROUPS = "manage groups of users that ring together or in turn: add, list, remove"
_ABOUT_BANS = "manage banned addresses and trusted networks"
_ABOUT_HISTORY = "list past calls, the newest first"
_ABOUT_FORGIVE = "unblock a user after wrong passwords"
_ABOUT_CALLS = "list the calls of the running server, or hang up one"
_ABOUT_TRACE = "show the SIP messages of a call, from the memory of the running server"
_ABOUT_TROUBLE = "show refused registrations and calls, blocked users and banned addresses"
_ABOUT_HEALTH = "check the running server; exit code 0: ok, 1: warning, 2: failing"
_ROLES = "admin may do all, viewer reads all but secrets"
_ABOUT_ADMIN = "manage the administrators of the web admin: roles, passwords, second factors"
_ABOUT_TOKENS = "manage the tokens of the API and /metrics: add, list, remove"
_EPILOG = (
    "Flags override environment variables, which override the settings file. Flags can be written"
    " before or after the command, with one dash or two. For help about a command, run"
    " `COMMAND -help`, for example `users import -help`."
)


def main(
    arguments: Sequence[str],
    run_server: Callable[[Config], int],
    environment: Mapping[str, str] | None = None,
) -> int:
    """Execute the command line and return the exit code.

    `run_server` is called when no command is given; it is a parameter because this module does
    not import the web admin.  `environment` defaults to that of the process.
    """
    environment = os.environ if environment is None else environment
    try:
        options = _parse(arguments)
    except SystemExit as leaving:  # argparse has printed the help or an error
        return int(leaving.code or 0)
    try:
        given = _sources(options, environment)
        config = given.config({})
        if unknown := unknown_variables(environment):
            _say(f"warning: unknown settings, ignored: {', '.join(map(_with_guess, unknown))}")
        return _do(options, config, given, run_server)
    except CommandError as error:
        _say(str(error))
        return error.status
    except KeyboardInterrupt:
        hint = "; `users list` shows the accounts" if options.command == "users" else ""
        _say(f"interrupted; the command was completed or changed nothing{hint}")
        return 1


def sources(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Sources:
    """Read flags, environment and settings file again, as `main` did: the file may have changed.

    Raises ConfigError.
    """
    return _sources(_parse(arguments), os.environ if environment is None else environment)


def _sources(options: argparse.Namespace, environment: Mapping[str, str]) -> Sources:
    flags = {name: vars(options)[name] for name in SETTINGS if name in vars(options)}
    return Sources.read(flags, environment)


def _do(
    options: argparse.Namespace,
    config: Config,
    given: Sources,
    run_server: Callable[[Config], int],
) -> int:
    if options.command is None:
        return run_server(config)
    # Here, because dataset takes a third of a second to import.  The collector need not examine the
    # objects that this makes, now or at the exit: that saves a tenth of a second.
    with long_lived_objects():
        from sip.cli import (
            admin,
            backup,
            bans,
            calls,
            forgive,
            groups,
            history,
            settings,
            tokens,
            trace,
            trouble,
            users,
        )
    match options.command:
        case "users":
            return users.execute(options, config)
        case "groups":
            return groups.execute(options, config)
        case "bans":
            return bans.execute(options, config)
        case "calls":
            return calls.execute(options, config)
        case "history":
            return history.execute(options, config)
        case "trace":
            return trace.trace(options, config)
        case "admin":
            return admin.execute(options, config, given.environment)
        case "tokens":
            return tokens.execute(options, config)
        case "trouble" | "health":
            return trouble.execute(options, config)
        case "settings":
            return settings.execute(options, config, given)
        case "backup" | "restore":
            return backup.execute(options, config)
    return forgive.forgive(options, config)


def _say(sentence: str) -> None:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)


def _with_guess(variable: str) -> str:
    """Return an unknown environment variable, followed by the most similar known one."""
    endings = sorted(name.removeprefix(PREFIX) for name in known_variables())
    guess = similar(variable.removeprefix(PREFIX), endings)
    return f"{variable} (did you mean {PREFIX}{guess}?)" if guess else variable


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser, spellings = _build()
    for argument, before in zip(arguments, ("", *arguments), strict=False):
        flag = argument.partition("=")[0]
        is_flag = flag.startswith("-") and flag != "-" and " " not in flag
        if is_flag and before in _PASSWORD:
            parser.error(
                f"{before} needs a password; if it begins with a dash, write {before}=-..."
            )
        if argument == "--":
            break
        # argparse would use the value of an unknown flag as the command.
        if is_flag and flag not in spellings:
            single_dashed = [spelling for spelling in spellings if spelling[:2] != "--"]
            guess = nearest("-" + flag.lstrip("-"), single_dashed)
            parser.error(f"there is no flag {flag}{guess}")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if value == []:  # Python 3.11 parses `--password=--` as an empty list
            setattr(options, name, "--")
    return options


def _build() -> tuple[argparse.ArgumentParser, frozenset[str]]:
    """Make the parser, and the set of all flags of it and of its commands."""
    parser: argparse.ArgumentParser = Parser(
        prog=PROGRAM,
        usage="%(prog)s [flags] [COMMAND ...]",
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
    groups = _subcommands(_subcommand(commands, "groups", _ABOUT_GROUPS), "groups")
    add_group_commands(lambda name, about: _subcommand(groups, name, about))
    _add_history(_subcommand(commands, "history", _ABOUT_HISTORY))
    _add_forgive(_subcommand(commands, "forgive", _ABOUT_FORGIVE))
    _add_call_commands(_subcommand(commands, "calls", _ABOUT_CALLS))
    _add_trace(_subcommand(commands, "trace", _ABOUT_TRACE))
    _add_admin_commands(_subcommand(commands, "admin", _ABOUT_ADMIN))
    _add_token_commands(_subcommand(commands, "tokens", _ABOUT_TOKENS))
    add_maintenance_commands(partial(_subcommand, commands), PROGRAM)
    for name, about in (("trouble", _ABOUT_TROUBLE), ("health", _ABOUT_HEALTH)):
        made = _subcommand(commands, name, about)
        made.add_argument("--json", "-json", action="store_true", help="print a JSON object")
    spellings = (flag for each in _all(parser) for flag in each._option_string_actions)
    return parser, frozenset(spellings)


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser and the parsers of all its commands."""
    yield parser
    for below in commands_of(parser).values():
        yield from _all(below)


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
    parser = commands.add_parser(name, help=about, description=about[0].upper() + about[1:])
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
        _named(action("enable", "allow the phones of an account to register and call again")),
        _named(action("disable", "keep an account, but refuse its phones")),
        add_call_settings(_named(action("set", "set aliases, forwarding and do not disturb"))),
    )
    listing = action("list", "list all accounts")
    listing.add_argument("--json", "-json", action="store_true", help="print a JSON array")
    listing.add_argument("--realm", "-realm", metavar="REALM", help="only accounts of this realm")
    for made in named:
        made.add_argument(
            "--realm", "-realm", metavar="REALM", help="realm of the account (default: -sip.realm)"
        )
    importing = action("import", "import accounts from a CSV file (all or nothing)")
    importing.add_argument("file", metavar="FILE.csv", help="CSV file; - is standard input")
    importing.add_argument(
        "--dry-run", "-dry-run", action="store_true", help="only report; change nothing"
    )
    importing.add_argument(
        "--update", "-update", action="store_true", help="change accounts that already exist"
    )
    importing.add_argument(
        "--generate",
        "-generate",
        action="store_true",
        help="generate missing passwords of new accounts, and print them as CSV",
    )
    importing.add_argument(
        "--skip-unknown", "-skip-unknown", action="store_true", help="ignore unknown columns"
    )
    importing.add_argument(
        "--encoding", "-encoding", metavar="NAME", help="encoding of the file, e.g. windows-1252"
    )
    exporting = action("export", "export all accounts to a CSV file")
    exporting.add_argument(
        "file", metavar="FILE.csv", nargs="?", default="-", help="CSV file; - is standard output"
    )
    exporting.add_argument(
        "--with-hashes",
        "-with-hashes",
        action="store_true",
        help="include the password hashes (HA1); keep such a file secret",
    )


def _add_ban_commands(bans: argparse.ArgumentParser) -> None:
    commands = _subcommands(bans, "bans")
    commands.required = False  # `bans` alone lists them
    _subcommand(
        commands,
        "list",
        "list banned addresses, blocked users and trusted networks",
    )
    for name, about in (
        ("remove", "remove the ban of an address"),
        ("trust", "trust a network: remove its bans, never limit or ban it"),
        ("distrust", "stop trusting a network"),
    ):
        made = _subcommand(commands, name, about)
        made.add_argument(
            "address", metavar="ADDRESS", help="IP address or network, e.g. 192.0.2.0/24"
        )


def _add_history(history: argparse.ArgumentParser) -> None:
    history.usage = f"{PROGRAM} history [--json] [--user USER] [--since TIME] [flags]"
    history.add_argument("--json", "-json", action="store_true", help="print a JSON array")
    history.add_argument("--user", "-user", metavar="USER", help="only calls from or to this user")
    history.add_argument(
        "--since",
        "-since",
        metavar="TIME",
        help="only calls that started since then: 2026-11-30, 2026-11-30T14:00Z (UTC), 12h or 7d",
    )


def _add_forgive(forgive: argparse.ArgumentParser) -> None:
    forgive.usage = f"{PROGRAM} forgive USER [ADDRESS] [flags]"
    forgive.add_argument("user", metavar="USER", help="user name: the SIP address before the @")
    forgive.add_argument(
        "address",
        metavar="ADDRESS",
        nargs="?",
        help="only for this IP address or network of the phone; default: all addresses",
    )
    forgive.epilog = (
        "The command is sent to the running server that uses the same database (-db.path)."
    )


def _add_call_commands(calls: argparse.ArgumentParser) -> None:
    commands = _subcommands(calls, "calls")
    listing = _subcommand(commands, "list", "list the calls that ring or talk")
    listing.add_argument("--json", "-json", action="store_true", help="print a JSON array")
    hangup = _subcommand(commands, "hangup", "end a call: a BYE to both sides, or a CANCEL")
    hangup.add_argument("id", metavar="ID", type=int, help="number of the call in `calls list`")


def _add_trace(trace: argparse.ArgumentParser) -> None:
    trace.usage = f"{PROGRAM} trace CALL_ID [--pcap FILE] [flags]"
    trace.add_argument("call_id", metavar="CALL_ID", help="Call-ID of the call or registration")
    trace.add_argument(
        "--pcap", "-pcap", metavar="FILE", help="write a file for Wireshark; - is standard output"
    )


def _add_admin_commands(admin: argparse.ArgumentParser) -> None:
    commands = _subcommands(admin, "admin")
    adding = _secret(_subcommand(commands, "add", "add an administrator"))
    listing = _subcommand(commands, "list", "list all administrators")
    removing = _subcommand(commands, "remove", "remove an administrator")
    password = _secret(_subcommand(commands, "password", "set the password of an administrator"))
    resetting = _subcommand(
        commands, "reset-factor", "remove the second factor of an administrator"
    )
    changing = _subcommand(commands, "role", "change the role of an administrator")
    listing.add_argument("--json", "-json", action="store_true", help="print a JSON array")
    for made in (adding, removing, resetting, changing):
        made.add_argument("name", metavar="NAME", help="name of the administrator")
    changing.add_argument("new_role", metavar="ROLE", choices=("admin", "viewer"), help=_ROLES)
    password.add_argument(
        "name", metavar="NAME", nargs="?", default="admin", help="name (default: admin)"
    )
    _add_role(adding, f"{_ROLES} (default: admin)", "admin")


def _add_role(parser: argparse.ArgumentParser, meaning: str, default: str) -> None:
    parser.add_argument(
        "--role", "-role", choices=("admin", "viewer"), default=default, help=meaning
    )


def _add_token_commands(tokens: argparse.ArgumentParser) -> None:
    commands = _subcommands(tokens, "tokens")
    adding = _subcommand(commands, "add", "make a token and print it; it is shown only once")
    listing = _subcommand(commands, "list", "list all tokens, and when each was last used")
    removing = _subcommand(commands, "remove", "remove a token; it is refused from now on")
    for made in (adding, removing):
        made.add_argument("name", metavar="NAME", help="name of the token, e.g. prometheus")
    _add_role(adding, f"{_ROLES} (default: viewer)", "viewer")
    listing.add_argument("--json", "-json", action="store_true", help="print a JSON array")


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", metavar="NAME", help="user name: the SIP address before the @")
    return parser


def _secret(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--password",
        "-password",
        metavar="P",
        help="password; other users of this machine can see it while the command runs",
    )
    group.add_argument(
        "--generate", "-generate", action="store_true", help="generate a password and print it"
    )
    parser.epilog = (
        "Without --password and --generate, the command asks for the password on a terminal, or"
        " reads it from the first line of standard input."
    )
    return parser


def _add_settings(parser: argparse.ArgumentParser, *, visible: bool) -> None:
    """Add the flags of the settings table to a parser.

    A flag has no default here: the default of a command's parser would overwrite a flag that was
    given before the command.
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
