"""Fuzz all parsers of octets from the network."""

import os
import random
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sip.message.grammar import BadMessage
from sip.message.message import parse
from tests.fuzz.mutator import message, mutant
from tests.fuzz.targets import MESSAGES, TARGETS
from tests.support.cases import cases

HERE = Path(__file__).parent
TORTURE = [HERE.parent / "torture" / folder for folder in ("rfc4475", "rfc5118")]
# A hunt of `make test` ends at the first of both limits; `make siege` goes on for longer.
RUNS, SECONDS = 4000, 3
SIEGE_SECONDS = int(os.environ.get("SIEGE_SECONDS", "60"))


def corpus(name: str) -> list[Path]:
    """The folders of what a target is shown first."""
    own = [HERE / "corpus" / name] if (HERE / "corpus" / name).is_dir() else []
    return own + (TORTURE if name in MESSAGES else [])


@cases("name", TARGETS)
def test_a_reader_takes_what_is_known_to_be_hard_or_says_no(name: str):
    """Valid values, the torture messages, and the finds of earlier hunts."""
    files = [file for folder in corpus(name) for file in sorted(folder.iterdir())]
    assert files
    for file in files:
        TARGETS[name](file.read_bytes())
    for seed in range(60 if name in MESSAGES else 0):
        TARGETS[name](mutant(random.Random(seed)))


@pytest.mark.wire
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_hunt_finds_nothing(name: str, tmp_path: Path):
    """Octets that reach code which no others have reached are what the next ones are made of."""
    hunt(name, tmp_path, runs=RUNS, seconds=SECONDS)


@pytest.mark.siege
@pytest.mark.wire
@pytest.mark.timeout(SIEGE_SECONDS + 120)
@pytest.mark.parametrize("name", TARGETS)
def test_a_long_hunt_finds_nothing(name: str, tmp_path: Path):
    """`SIEGE_SECONDS` of the environment says how long it may be."""
    said = hunt(name, tmp_path, runs=-1, seconds=SIEGE_SECONDS)
    print(f"\n{name}: {re.findall(r'#.*cov: .*', said)[-1:]}")


def hunt(name: str, home: Path, *, runs: int, seconds: int) -> str:
    """Look for octets that a target fails on, and show those that were found."""
    found, found_wrong = home / "found", home / "wrong"
    found.mkdir()
    found_wrong.mkdir()
    flags = [
        *(f"-runs={runs}", f"-max_total_time={seconds}", "-timeout=20", "-max_len=4096", "-seed=1"),
        *("-rss_limit_mb=1000", f"-artifact_prefix={found_wrong}/"),
    ]
    folders = [str(folder) for folder in (found, *corpus(name))]
    done = subprocess.run(
        [sys.executable, str(HERE / "hunt.py"), name, *flags, *folders],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds + 105,
    )
    wrong = [file.read_bytes() for file in found_wrong.iterdir()]
    assert done.returncode == 0, f"{wrong}\n{done.stdout[-8000:]}"
    assert not wrong
    return done.stdout


# Without guidance only what the mutator knows is found.
WORD = b"x509" if find_spec("atheris") else b"SIP/"


def knows_a_word(octets: bytes) -> None:
    """A reader with a fault that is four steps away."""
    for known, octet in zip(WORD, octets, strict=False):
        if known != octet:
            return
    if len(octets) >= len(WORD):
        raise KeyError("that word")


@pytest.mark.wire
def test_a_hunt_finds_what_is_wrong_step_by_step(tmp_path: Path):
    """Else those above might find nothing in anything."""
    with pytest.raises(AssertionError, match="that word"):
        hunt("tests.fuzz.test_fuzz:knows_a_word", tmp_path, runs=200_000, seconds=60)


def test_grammar_messages_parse_and_most_mutants_do_not():
    """Damage that is refused at once, or has no effect, tests nothing."""

    def readable(make) -> int:
        count = 0
        for seed in range(300):
            try:
                parse(make(random.Random(seed)))
                count += 1
            except BadMessage:
                pass
        return count

    assert readable(message) == 300
    assert 60 < readable(mutant) < 200
