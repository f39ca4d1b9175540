"""The `trace` command: the messages of a call, from the memory of the running server."""

import argparse
import os
import sys
from base64 import b64decode

from sip.cli.prompt import discard_output
from sip.config import CommandError, Config
from sip.control.protocol import ControlError, ask


def trace(options: argparse.Namespace, config: Config) -> int:
    """Print the ladder and the messages, or write a pcap file.  Raises CommandError."""
    try:
        reply = ask(
            config.db_path, do="trace", call_id=options.call_id, pcap=options.pcap is not None
        )
    except ControlError as error:
        raise CommandError(str(error)) from None
    try:
        if options.pcap is None:
            print(reply["text"], end="", flush=True)
        elif options.pcap == "-":
            sys.stdout.buffer.write(b64decode(reply["pcap"]))
            sys.stdout.flush()
        else:
            _write(options.pcap, b64decode(reply["pcap"]))
            print(f"{reply['messages']} messages written to {options.pcap}")
    except BrokenPipeError:  # the reader, for example `head`, has closed the pipe
        discard_output()
    return 0


def _write(path: str, octets: bytes) -> None:
    """Write a file that only its owner can read: it names people and their devices."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(octets)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}") from None
