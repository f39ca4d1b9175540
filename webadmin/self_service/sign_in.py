"""The check of a SIP name and password on /me, limited together with the logins of phones.

The page must be no side door for guessers: it asks the guard as the authenticator does, and a
wrong password here counts as one there.  A connection cannot be forged, so it counts as an answer
to a nonce of this server.
"""

import hmac
import math
from ipaddress import ip_address

from sip.core.guard.guard import Guard
from sip.store.accounts import MAX_PASSWORD, Account, ha1s, normalized
from sip.store.users import Users
from webadmin.language import _
from webadmin.sign_in_limits import SignInLimiter

# Characters; a longer name is in no account.
_LONGEST_NAME = 255
_NO_HA1 = "0" * 32


class SignInBlocked(Exception):
    """Too many wrong passwords came from an address; `seconds` is 0 if the end is not known."""

    def __init__(self, seconds: float = 0.0) -> None:
        text = _("Too many wrong passwords. Try again later.")
        if seconds:
            text = _("Too many wrong passwords. Try again in {minutes} min.")
        super().__init__(text.format(minutes=math.ceil(seconds / 60)))
        self.seconds = math.ceil(seconds)


class PasswordCheck:
    """Checks passwords of users against their HA1s.

    The guard does not limit trusted networks, and it must not ban this machine, where a proxy may
    send the requests of all users.  So `limiter` limits those addresses.
    """

    def __init__(self, users: Users, guard: Guard, limiter: SignInLimiter) -> None:
        self._users = users
        self._guard = guard
        self._limiter = limiter

    def account(self, address: str, username: str, realm: str, password: str) -> Account | None:
        """Return the account of a name and password, None if one of them is wrong.

        Wrong, unknown and disabled look alike.  Raises SignInBlocked; the password was not checked
        then.  May wait.
        """
        username = normalized(username.strip())[:_LONGEST_NAME]
        account = self._users.find(username, realm)
        # The spelling of the account, as the authenticator counts it.
        name = account.username if account else username
        is_guarded = self._is_guarded(address)
        if is_guarded:
            if not self._guard.may_try_password(address, name, realm, nonce_is_ours=True):
                raise SignInBlocked
        else:
            if seconds := self._limiter.seconds_blocked(address):
                raise SignInBlocked(seconds)
            # Not cleared by a right password: a guesser may have an account.
            self._limiter.count_attempt(address)
        if not _matches(account, name, realm, password) or account is None or not account.enabled:
            if is_guarded:
                self._guard.login_failed(address, name, nonce_is_ours=True)
            return None
        if is_guarded:
            self._guard.login_succeeded(address, name)
        else:
            self._limiter.uncount_attempt(address)
        return account

    def _is_guarded(self, address: str) -> bool:
        try:
            return not ip_address(address).is_loopback and not self._guard.is_trusted(address)
        except ValueError:  # a Unix socket
            return False


def _matches(account: Account | None, name: str, realm: str, password: str) -> bool:
    """Return True if the password gives the HA1 of the account; takes the same time without."""
    if len(password) > MAX_PASSWORD:
        return False
    try:
        made = ha1s(name, realm, normalized(password))
    except UnicodeEncodeError:  # surrogates
        return False
    known = account.ha1_md5 if account else _NO_HA1
    return hmac.compare_digest(made["ha1_md5"], known) and account is not None
