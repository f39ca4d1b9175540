"""The second factor of administrators: codes of an authenticator app (TOTP, RFC 6238).

The secret and the clock give a code of six digits for each time step of 30 seconds.  A code of the
step before or after the present one is accepted too, because clocks differ (RFC 6238 §5.2).  The
time step of the last code is stored: each code is valid once, and older ones no longer.  Ten
recovery codes of 80 bits replace the app, each once; only their SHA-256 hashes are stored.
"""

import hashlib
import hmac
from collections.abc import Sequence
from enum import Enum

import pyotp

from sip.store.database import Database, Tables, fetch
from sip.store.passwords import make_password

STEP_SECONDS = 30  # RFC 6238 §5.2 recommends it
DRIFT_STEPS = 1
RECOVERY_CODES = 10
ISSUER = "sipserver"  # shown by the authenticator app

_DIGITS = 6
_MAX_CODE = 60  # characters; a recovery code has 19


def make_secret() -> str:
    """Generate a secret of 160 bits in Base32, as RFC 4226 §4 recommends."""
    return pyotp.random_base32()


def key_uri(secret: str, name: str, domain: str) -> str:
    """Return the otpauth: URI of a secret, for the QR code that an authenticator app reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=f"{name}@{domain}", issuer_name=ISSUER)


def matching_step(secret: str, code: str, now: float) -> int | None:
    """Return the time step of a code that is valid at `now`, None if it is wrong."""
    code = "".join(code.split())
    if len(code) != _DIGITS or not (code.isascii() and code.isdecimal()):
        return None
    totp, present = pyotp.TOTP(secret), int(now) // STEP_SECONDS
    steps = range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1)
    matching = [step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)]
    return max(matching, default=None)


class Accepted(Enum):
    """The kind of a code that was valid."""

    CODE = "code"
    RECOVERY_CODE = "recovery code"


class SecondFactors:
    """The second factors in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def turn_on(self, name: str, secret: str, code: str, now: float) -> Sequence[str]:
        """Store a secret if the code belongs to it, and return the recovery codes.

        Returns nothing if the code is wrong, or if the administrator has a second factor already.
        """
        step = matching_step(secret, code, now)
        if step is None:
            return ()

        def write(tables: Tables) -> Sequence[str]:
            if not fetch(tables, _TURN_ON, (secret, step, name)):
                return ()
            return _write_codes(tables, name)

        return self._database.run(write)

    def renew_recovery_codes(self, name: str) -> Sequence[str]:
        """Replace the recovery codes, and return the new ones; none without a second factor."""

        def write(tables: Tables) -> Sequence[str]:
            return _write_codes(tables, name) if fetch(tables, _READ, (name,)) else ()

        return self._database.run(write)

    def accept(self, name: str, code: str, now: float) -> Accepted | None:
        """Return the kind of a valid code, which cannot be used again; None for all others."""
        code = code[:_MAX_CODE]
        rows = self._database.browse(lambda tables: fetch(tables, _READ, (name,)))
        if not rows:
            return None
        ((secret,),) = rows
        step = matching_step(secret, code, now)
        if step is not None:
            use, kind = _USE, Accepted.CODE
            values: tuple[object, ...] = (step, name, secret, step)
        elif len(_bare(code)) > _DIGITS:
            use, values = _USE_RECOVERY, (name, _code_hash(name, code))
            kind = Accepted.RECOVERY_CODE
        else:
            return None  # a wrong code of the app costs no commit
        return kind if self._database.run(lambda tables: fetch(tables, use, values)) else None

    def turn_off(self, name: str) -> bool:
        """Remove the second factor and its recovery codes; return False if there is none."""

        def write(tables: Tables) -> bool:
            fetch(tables, _DELETE_CODES, (name,))
            return bool(fetch(tables, _TURN_OFF, (name,)))

        return self._database.run(write)


def _write_codes(tables: Tables, name: str) -> Sequence[str]:
    """Replace the recovery codes of an administrator, and return the new ones."""
    codes = [make_password().replace(".", "-") for _ in range(RECOVERY_CODES)]
    fetch(tables, _DELETE_CODES, (name,))
    for each in codes:
        values = (name, _code_hash(name, each))
        fetch(tables, "INSERT INTO recovery_codes VALUES (?, ?)", values)
    return codes


_READ = "SELECT totp_secret FROM admins WHERE username = ? AND totp_secret IS NOT NULL"
_TURN_ON = """
    UPDATE admins SET totp_secret = ?, totp_used = ?
    WHERE username = ? AND totp_secret IS NULL RETURNING username
"""
_TURN_OFF = """
    UPDATE admins SET totp_secret = NULL, totp_used = 0
    WHERE username = ? AND totp_secret IS NOT NULL RETURNING username
"""
_USE = """
    UPDATE admins SET totp_used = ?
    WHERE username = ? AND totp_secret = ? AND totp_used < ? RETURNING username
"""
_USE_RECOVERY = """
    DELETE FROM recovery_codes WHERE username = ? AND code_hash = ? RETURNING username
"""
_DELETE_CODES = "DELETE FROM recovery_codes WHERE username = ?"


def _bare(code: str) -> str:
    return "".join(character for character in code.lower() if character.isalnum())


def _code_hash(name: str, code: str) -> str:
    text = f"{name}\n{_bare(code)}"
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
