"""Which Python runs, how it was built, and which of our modules are compiled."""

import platform
import sys
import sysconfig
from pathlib import Path

# Their packages are built with profile-guided optimisation, but not by the option of `configure`.
GUIDED_DISTRIBUTIONS = ("debian", "ubuntu")
DEBIANS = Path("/usr/bin/python3.11")


def heading() -> str:
    """Return the first line of a benchmark: this Python, and a warning if it is a slow one."""
    kind = "compiled" if is_compiled() else "pure"
    text = f"Python {describe()}; this folder is {kind}"
    if is_profile_guided():
        return text
    cure = "`make clean`, then `make` takes Debian's" if DEBIANS.exists() else "Debian's is"
    return (
        f"{text}\nThis Python was built without profile-guided optimisation: it is 2 to 17 % "
        f"slower than one that was ({cure})."
    )


def describe() -> str:
    """Return the version of this Python, who built it, and whether it was profile-guided."""
    guided = "" if is_profile_guided() else "not "
    return f"{platform.python_version()} {_builder()}, {guided}profile-guided"


def is_profile_guided() -> bool:
    """Return True if this Python was built with profile-guided optimisation."""
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return True
    return sys.base_prefix == "/usr" and _system().get("ID") in GUIDED_DISTRIBUTIONS


def is_compiled() -> bool:
    """Return True if the hot modules of the server in this folder are compiled by mypyc."""
    from sip.message import message

    return not message.__file__.endswith(".py")


def _builder() -> str:
    if sys.base_prefix == "/usr":
        return f"of {_system().get('NAME', 'the system')}"
    return "of pyenv" if ".pyenv" in Path(sys.base_prefix).parts else f"in {sys.base_prefix}"


def _system() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}
