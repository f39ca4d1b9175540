"""Digest authentication of requests against accounts (RFC 3261 §22, RFC 7616, RFC 8760)."""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Protocol

from sip.core import causes
from sip.core.auth.digest import (
    ONCE,
    Answer,
    Nonces,
    challenge,
    is_right,
    read_credentials,
)
from sip.core.auth.phone_logins import ALGORITHM, PREFIX, PhoneLogins, may_be_login
from sip.core.domains import Domains
from sip.core.errors import Cause, Challenged, Refused
from sip.core.guard.guard import Guard
from sip.message.cache import cached_parse
from sip.message.grammar import BadMessage, unescape
from sip.message.message import Request
from sip.message.uri import Uri, parse_uri
from sip.store.call_settings import CallSettings
from sip.store.groups import Group
from sip.transport.transport_names import WEB_TRANSPORTS


class Account(Protocol):
    """A local account: its names, and its HA1s of RFC 7616 §3.4.2 (None: not stored).

    `call_settings` is None for the usual ones.
    """

    @property
    def id(self) -> int: ...
    @property
    def username(self) -> str: ...
    @property
    def display_name(self) -> str: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def ha1_md5(self) -> str | None: ...
    @property
    def ha1_sha256(self) -> str | None: ...
    @property
    def ha1_sha512_256(self) -> str | None: ...
    @property
    def call_settings(self) -> CallSettings | None: ...


class Accounts(Protocol):
    """The accounts, by name; never waits."""

    def find(self, username: str, realm: str) -> Account | None:
        """Return the account of this name, enabled or not; None if there is none.

        The same name in NFC, an alias, or the same telephone number in another spelling, is found
        too.
        """

    def find_group(self, name: str, realm: str) -> Group | None:
        """Return the group of this name; None if there is none."""

    def offers(self, realm: str, algorithm: str) -> bool:
        """Return True if every enabled account of the realm has the HA1 for an algorithm."""


_HA1 = {"MD5": "ha1_md5", "SHA-256": "ha1_sha256", "SHA-512-256": "ha1_sha512_256"}
# Phones that give up at an algorithm they do not know, in any of the challenges, against
# RFC 8760 §2.4: baresip on libre before 3.11, as in Debian 12 and Ubuntu 22.04.  They are offered
# only MD5.
_KNOWS_ONLY_MD5 = re.compile(r"baresip v?(?:[0-2]\.|3\.(?:[0-9]|10)\b)", re.IGNORECASE)
_LONGEST_MATCH = 40  # characters of a User-Agent that decide
# Credentials for our realm that are checked per request: one for each algorithm of a challenge, and
# one that a phone still sends for an earlier nonce.
MAX_ANSWERS = 4
# Credentials of unknown users are checked against this HA1, so that they take the same time.
_DUMMY_HA1 = hashlib.sha256(b"nobody").hexdigest()[:32]
_NO_CAUSE = causes.NO_CREDENTIALS.of()


class Authenticator:
    """Checks the credentials of requests, and challenges requests without right ones."""

    def __init__(
        self,
        accounts: Accounts,
        domains: Domains,
        nonces: Nonces,
        algorithms: Iterable[str],
        clock: Callable[[], float],
        guard: Guard,
        phone_logins: PhoneLogins,
    ) -> None:
        self.accounts = accounts
        self.phone_logins = phone_logins
        self.domains = domains
        self.nonces = nonces
        self.algorithms = tuple(algorithms)
        self.clock = clock
        self.guard = guard

    def authenticate(
        self, request: Request, realm: str, source: str, *, as_proxy: bool = False
    ) -> Account:
        """Return the account whose right credentials a request carries for `realm`.

        `source` is the address that the request came from.  One right credential of several is
        enough; the credentials of a blocked login are not checked and get the same response.
        Raises Challenged: 407 as a proxy, else 401 (§22.2, §22.3); unknown users and wrong
        passwords look alike.  Raises Refused (400) for credentials made for another server's
        request.

        After a wrong answer the same nonce is sent again if it is still good: only the password
        was wrong, and a phone that answers each new nonce by itself has to ask its user (§22.1).
        """
        field_name = "proxy-authorization" if as_proxy else "authorization"
        if field_name not in request.present:
            raise self._challenge(request, realm, source, _NO_CAUSE, as_proxy)
        answers, cause, unread = self._read_credentials(request.fields(field_name), realm, source)
        now = self.clock()
        foreign: str | None = None
        is_stale = False
        for answer, is_ours in answers:
            if answer.uri != request.uri_text and not self._fits(answer.uri, request):
                foreign = answer.uri
                continue
            if not self.guard.may_try_password(
                source, answer.username, realm, nonce_is_ours=is_ours
            ):
                name = answer.username
                cause = (causes.LOGIN_BLOCKED if is_ours else causes.UNKNOWN_NONCE).of(name=name)
                continue
            account = self._check_answer(answer, request.method, realm)
            if isinstance(account, Cause):
                cause = account
                if self._has_ended(answer):
                    continue
                self.guard.login_failed(
                    source,
                    answer.username,
                    nonce_is_ours=is_ours,
                    call_id=request.call_id,
                    answer=f"{answer.nonce} {answer.count} {answer.cnonce} {answer.response}",
                )
            elif not is_ours or not self.nonces.is_fresh(answer.nonce, now):
                is_stale = True
            elif not self.nonces.use(answer.nonce, _count(answer), now):
                is_stale, cause = True, causes.REUSED_NONCE.of()
            else:
                self.guard.login_succeeded(source, answer.username)
                return account
        if foreign is not None and not is_stale:
            raise Refused(
                400, causes.FOREIGN_DIGEST.of(uri=foreign), reason="Digest uri does not match"
            )
        verified: list[str] = []
        if answers or unread:
            verified = [answer.nonce for answer, is_ours in answers if is_ours]
            verified += [nonce for nonce in unread if self.nonces.is_ours(nonce, source)]
        raise self._challenge(
            request,
            realm,
            source,
            cause,
            as_proxy,
            stale=is_stale,
            nonce=self._reusable_nonce(verified, now) if verified and not is_stale else "",
            is_verified=bool(verified),
        )

    def _read_credentials(
        self, fields: list[str], realm: str, source: str
    ) -> tuple[list[tuple[Answer, bool]], Cause, list[str]]:
        """Return the readable credentials for `realm`, and the fault and nonces of unreadable ones.

        Readable credentials are pairs; the second item is True if we made their nonce, and these
        pairs come first.  Credentials of other realms and schemes are skipped.
        """
        cause = _NO_CAUSE
        answers: list[tuple[Answer, bool]] = []
        unread: list[str] = []
        for field in fields:
            try:
                read = read_credentials(field)
            except BadMessage as error:
                cause = cause if cause.text else causes.UNUSABLE_CREDENTIALS.of(fault=error.reason)
                continue
            if read is None or read[0].realm != realm:
                continue
            answer, fault = read
            if not fault and not self._is_offered(answer):
                fault = f"the algorithm {answer.algorithm} is not offered"
            if fault:
                cause = causes.UNUSABLE_CREDENTIALS.of(fault=fault)
                unread.append(answer.nonce)
                continue
            if not (answer.username.isalnum() and answer.username.isascii()):
                self._use_stored_name(answer, realm)
            answers.append((answer, self.nonces.is_ours(answer.nonce, source)))
        if len(answers) > 1:
            answers.sort(key=lambda pair: not pair[1])
        return answers[:MAX_ANSWERS], cause, unread[:MAX_ANSWERS]

    def _reusable_nonce(self, verified: list[str], now: float) -> str:
        """Return the newest of these nonces that can still be used, "" for none."""
        good = [nonce for nonce in verified if self.nonces.is_usable(nonce, now)]
        return max(good, default="")  # a nonce begins with its time

    def _use_stored_name(self, answer: Answer, realm: str) -> None:
        """Set the username of an answer to the stored spelling, if the phone spells it otherwise.

        The phone may send it decomposed (RFC 7616 §4), a number with separators, or escaped as in
        a URI; no account has a % in its name.
        """
        for form in (answer.username, unescape(answer.username)):
            account = self.accounts.find(form, realm)
            if account is not None and account.username != answer.username:
                answer.username, answer.written = account.username, answer.username
            if account is not None:
                return

    def account_name(self, uri: Uri, realm: str) -> str:
        """Return the name of the account that a URI of a realm means.

        Without an account it is the name in the URI.
        """
        username = self.domains.username_of(uri)
        account = self.accounts.find(username, realm)
        return username if account is None else account.username

    def is_named(self, account: Account, uri: Uri, realm: str) -> bool:
        """Return True if a URI of a realm names this account, in any spelling."""
        username = self.domains.username_of(uri)
        if username == account.username:
            return True
        found = self.accounts.find(username, realm)
        return found is not None and found.id == account.id

    def _check_answer(self, answer: Answer, method: str, realm: str) -> Account | Cause:
        """Return the account if its digest is right, else the cause of the failure.

        One digest is computed even if there is no account, so the time does not show that.
        """
        account: Account | None
        ha1: str | None
        login = self._phone_login(answer)
        if login is not None:
            account, ha1 = login
        else:
            account = self.accounts.find(answer.username, realm)
            ha1 = getattr(account, _HA1[answer.algorithm]) if account else None
        right = is_right(ha1 or _DUMMY_HA1, method, answer)
        if account is None or not account.enabled or not ha1 or not right:
            return _cause(account, answer)
        return account

    def _phone_login(self, answer: Answer) -> tuple[Account, str] | None:
        """Return the account and the HA1 of a phone in a browser; None for all other answers."""
        if not answer.username.startswith(PREFIX) or answer.algorithm != ALGORITHM:
            return None
        return self.phone_logins.find(answer.username, answer.realm)

    def _has_ended(self, answer: Answer) -> bool:
        """Return True if an answer seems to be of a phone in a browser whose session has ended.

        It is no guess at a password.  A restart ends all sessions, and the open pages of an office
        would have its address banned.
        """
        name, realm = answer.username, answer.realm
        return may_be_login(name) and not (
            self.phone_logins.find(name, realm) or self.accounts.find(name, realm)
        )

    def _is_offered(self, answer: Answer) -> bool:
        """Return True if an answer has an algorithm of our challenges.

        A phone in a browser has MD5 even if the passwords of accounts are not offered by it.
        """
        return answer.algorithm in self.algorithms or self._phone_login(answer) is not None

    def _fits(self, uri_text: str, request: Request) -> bool:
        """Return True if a digest's uri is the Request-URI, or names us (RFC 8760 §2.6, item 6)."""
        try:
            uri = parse_uri(uri_text)
            return self.domains.is_local(uri) or uri.equals(request.uri)
        except BadMessage:
            return False

    def _challenge(
        self,
        request: Request,
        realm: str,
        source: str,
        cause: Cause,
        as_proxy: bool,
        *,
        stale: bool = False,
        nonce: str = "",
        is_verified: bool = False,
    ) -> Challenged:
        """Return a challenge per algorithm for which all enabled users of the realm have an HA1.

        MD5 is always the last one by WebSocket: the libraries of browsers know MD5 alone, and keep
        the last challenge, against RFC 8760 §2.4.  The nonce is a new one, unless one is given.
        """
        title = "Proxy-Authenticate" if as_proxy else "WWW-Authenticate"
        nonce = nonce or self.nonces.make(self.clock(), source)
        offered = [name for name in self.algorithms if self.accounts.offers(realm, name)]
        if "MD5" in offered and len(offered) > 1:
            user_agent = request.value("user-agent") or ""
            if _knows_only_md5(user_agent[:_LONGEST_MATCH]):
                offered = ["MD5"]
        if request.via.transport in WEB_TRANSPORTS:
            offered = [*(name for name in offered if name != ALGORITHM), ALGORITHM]
        extra = tuple(
            (title, challenge(realm, nonce, algorithm, stale=stale))
            for algorithm in offered or self.algorithms[:1]
        )
        return Challenged(
            407 if as_proxy else 401,
            cause,
            extra=extra,
            is_stale=stale,
            is_verified=is_verified,
        )


@cached_parse(1024)
def _knows_only_md5(user_agent: str) -> bool:
    return _KNOWS_ONLY_MD5.match(user_agent) is not None


def _cause(account: Account | None, answer: Answer) -> Cause:
    name = answer.username
    if account is None:
        return causes.UNKNOWN_USER.of(name=name)
    if not account.enabled:
        return causes.DISABLED_USER.of(name=name)
    return causes.wrong_password(name, answer.written)


def _count(answer: Answer) -> int:
    """Return the nonce-count; an answer by RFC 2069 has none, so its nonce works only once."""
    return int(answer.count, 16) if answer.qop else ONCE
