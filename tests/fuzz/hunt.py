"""Looks for octets that a target of `targets.py` fails on, guided by the code that they reach.

    python tests/fuzz/hunt.py TARGET [FLAG OF libFuzzer …] [FOLDER …]

Inputs that reach new code go to the first folder; failing ones are written where `-artifact_prefix`
says.  Half of the changes are libFuzzer's, the others those of the mutator, which knows what SIP is
made of.  Where there is no atheris for a machine the mutator works alone, and blindly.  A target of
another module is written `MODULE:FUNCTION`.
"""

import random
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

try:
    import atheris
except ImportError:
    atheris = None

Target = Callable[[bytes], None]


def main(name: str, *flags: str) -> None:
    """Hunt until the flags say that it is enough."""
    if atheris is None:
        hunt_blindly(target_of(name), flags)
        return
    with atheris.instrument_imports(include=["sip", "webadmin", "dns", name.partition(":")[0]]):
        target = target_of(name)
    from tests.fuzz.mutator import damaged, message
    from tests.fuzz.targets import MESSAGES

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            return atheris.Mutate(data, most)
        if name in MESSAGES and rng.random() < 0.2:
            data = message(rng)
        return damaged(data, rng)[:most]

    atheris.Setup([sys.argv[0], *flags], target, custom_mutator=change)
    atheris.Fuzz()


def target_of(name: str) -> Target:
    """The function of that name."""
    module, _, function = name.rpartition(":")
    if module:
        return getattr(import_module(module), function)
    return import_module("tests.fuzz.targets").TARGETS[function]


def hunt_blindly(target: Target, flags: tuple[str, ...]) -> None:
    """Damage the inputs of the folders, for as long as the flags say."""
    from tests.fuzz.mutator import damaged, message

    said = dict(flag[1:].split("=", 1) for flag in flags if flag.startswith("-"))
    folders = [Path(flag) for flag in flags if not flag.startswith("-")]
    seeds = [file.read_bytes() for folder in folders for file in sorted(folder.iterdir())]
    rng = random.Random(int(said["seed"]))
    give_up_at, runs = time.monotonic() + float(said["max_total_time"]), int(said["runs"])
    while runs and time.monotonic() < give_up_at:
        runs -= 1
        octets = damaged(rng.choice(seeds) if seeds else message(rng), rng)
        try:
            target(octets)
        except BaseException:
            Path(said["artifact_prefix"] + "wrong").write_bytes(octets)
            raise


if __name__ == "__main__":
    main(*sys.argv[1:])
