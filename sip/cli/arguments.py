"""The arguments of the commands `settings`, `backup` and `restore`."""

import argparse
from collections.abc import Callable

_ABOUT_SETTINGS = "list all settings: value, and the source that sets it"
_ABOUT_BACKUP = "write a backup of the database to a file, also while the server runs"
_ABOUT_RESTORE = "put a backup in the place of the database; the server must not run"


def add_maintenance_commands(
    make: Callable[[str, str], argparse.ArgumentParser], program: str
) -> None:
    """Add the three commands; `make` returns the parser of a name and a description."""
    _add_settings_arguments(make("settings", _ABOUT_SETTINGS), program)
    _add_backup_arguments(make("backup", _ABOUT_BACKUP), program)
    _add_restore_arguments(make("restore", _ABOUT_RESTORE), program)


def _add_settings_arguments(parser: argparse.ArgumentParser, program: str) -> None:
    parser.usage = f"{program} settings [list] [--json] [flags]"
    parser.add_argument(
        "action",
        metavar="list",
        nargs="?",
        choices=("list",),
        help="list them; this is the default",
    )
    parser.add_argument("--json", "-json", action="store_true", help="print a JSON array")


def _add_backup_arguments(parser: argparse.ArgumentParser, program: str) -> None:
    parser.usage = f"{program} backup FILE [--force] [flags]"
    parser.add_argument("file", metavar="FILE", help="new file, e.g. /var/backups/sip.db")
    parser.add_argument("--force", "-force", action="store_true", help="replace an existing file")
    parser.epilog = "The file contains secrets: password hashes and the keys of the server."


def _add_restore_arguments(parser: argparse.ArgumentParser, program: str) -> None:
    parser.usage = f"{program} restore FILE [--force] [flags]"
    parser.add_argument("file", metavar="FILE", help="file that `backup` has written")
    parser.add_argument(
        "--force",
        "-force",
        action="store_true",
        help="replace an existing database, which is kept under another name",
    )
    parser.epilog = "The database is the file of -db.path."
