"""The arguments of the commands for call settings and groups."""

import argparse
from collections.abc import Callable


def add_call_settings(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add a flag for each call setting; one that is not given has no value."""
    for flag, field, value, about in (
        ("aliases", "aliases", "A,B", "further names and numbers of the user; empty: none"),
        ("dnd", "dnd", "SWITCH", "do not disturb: on or off"),
        ("forward-always", "always", "TARGET", "forward all calls"),
        ("forward-busy", "busy", "TARGET", "forward calls while the phone is busy"),
        ("forward-no-answer", "no_answer", "TARGET", "forward calls that are not answered"),
        ("no-answer-seconds", "no_answer_seconds", "SECONDS", "seconds of ringing before that"),
        ("forward-offline", "offline", "TARGET", "forward calls while no phone is registered"),
    ):
        parser.add_argument(
            f"--{flag}",
            f"-{flag}",
            dest=field,
            metavar=value,
            help=about,
            default=argparse.SUPPRESS,
        )
    parser.epilog = (
        "A TARGET is a user, an alias, a group, a telephone number or a SIP address; off ends the"
        " forwarding. Without a flag, the command prints the settings of the user."
    )
    return parser


def add_group_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the `groups` commands; `command` makes the parser of one, by its name and meaning."""
    adding = command("add", "add a group")
    listing = command("list", "list all groups")
    removing = command("remove", "remove a group; its members stay")
    for made in (adding, removing):
        made.add_argument("name", metavar="NAME", help="name or number of the group")
    for made in (adding, listing, removing):
        made.add_argument(
            "--realm", "-realm", metavar="REALM", help="realm of the group (default: -sip.realm)"
        )
    adding.add_argument(
        "--members", "-members", metavar="A,B", required=True, help="user names, in their order"
    )
    adding.add_argument(
        "--strategy",
        "-strategy",
        choices=("all", "in_turn"),
        default="all",
        help="all: the members ring together; in_turn: one after another",
    )
    adding.add_argument(
        "--seconds",
        "-seconds",
        metavar="SECONDS",
        default="20",
        help="seconds of ringing, for each member in turn (default 20)",
    )
    adding.add_argument(
        "--then",
        "-then",
        metavar="TARGET",
        default="",
        help="user, group, number or address for calls that no member has answered",
    )
    listing.add_argument("--json", "-json", action="store_true", help="print a JSON array")
