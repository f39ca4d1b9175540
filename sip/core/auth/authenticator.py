"""Who is asking: credentials against accounts (RFC 3261 §22, RFC 7616, RFC 8760)."""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Protocol

from sip.core import causes
from sip.core.auth.digest import ONCE, Answer, Nonces, challenge, is_right, read_answer
from sip.core.domains import Domains
from sip.core.errors import Cause, Challenged, Refused
from sip.core.guard.guard import Guard
from sip.message.grammar import BadMessage, unescape
from sip.message.headers import parse_credentials
from sip.message.message import Request
from sip.message.uri import Uri, parse_uri


class Account(Protocol):
    """What is known of a user here: names, and the HA1s of RFC 7616 §3.4.2, None where unknown."""

    @property
    def id(self) -> int: ...
    @property
    def username(self) -> str: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def ha1_md5(self) -> str | None: ...
    @property
    def ha1_sha256(self) -> str | None: ...
    @property
    def ha1_sha512_256(self) -> str | None: ...


class Accounts(Protocol):
    """Where accounts are looked up; never waits."""

    def find(self, username: str, realm: str) -> Account | None:
        """Return the account of this name, enabled or not.

        Else it is the account of the same name in NFC, or of the same telephone number.
        """

    def offers(self, realm: str, algorithm: str) -> bool:
        """Tell whether every enabled account of the realm has the HA1 for an algorithm."""


_HA1 = {"MD5": "ha1_md5", "SHA-256": "ha1_sha256", "SHA-512-256": "ha1_sha512_256"}
# Phones that give up at a challenge they do not know, wherever it stands, against RFC 8760 §2.4:
# baresip on libre before 3.11, which Debian 12 and Ubuntu 22.04 ship.  They are offered MD5 alone.
_KNOWS_MD5_ALONE = re.compile(r"baresip v?(?:[0-2]\.|3\.(?:[0-9]|10)\b)", re.IGNORECASE)
# Credentials for our realm that are looked into, of one request: one for each algorithm that there
# is a challenge for, and one that a phone has left from an earlier nonce.
MAX_ANSWERS = 4
# Whoever does not exist is checked against this, in the same time as whoever does.
_NOBODY = hashlib.sha256(b"nobody").hexdigest()[:32]


class Authenticator:
    """Lets in who knows the password, and challenges everybody else."""

    def __init__(
        self,
        accounts: Accounts,
        domains: Domains,
        nonces: Nonces,
        algorithms: Iterable[str],
        clock: Callable[[], float],
        guard: Guard,
    ) -> None:
        self.accounts = accounts
        self.domains = domains
        self.nonces = nonces
        self.algorithms = tuple(algorithms)
        self.clock = clock
        self.guard = guard

    def authenticate(
        self, request: Request, realm: str, source: str, *, as_proxy: bool = False
    ) -> Account:
        """The account whose credentials a request carries for `realm`.

        `source` is the address that it came from.  Of several credentials one that is right is
        enough; who has been wrong too often is not looked at, and hears the same.  Raises
        Challenged: 407 as a proxy, else 401 (§22.2, §22.3); unknown users and wrong passwords look
        alike.  Raises Refused (400) for credentials that were made for another server's request.

        A nonce that is still good is given again after a wrong answer: nothing is stale but the
        password, and a phone that would answer each fresh nonce has to ask its user (§22.1).
        """
        answers, cause, unread = self._answers_for(request, realm, source, as_proxy)
        now = self.clock()
        foreign: str | None = None
        is_stale = False
        for answer, is_ours in answers:
            if answer.uri != request.uri_text and not self._fits(answer.uri, request):
                foreign = answer.uri
                continue
            if not self.guard.is_asked(source, answer.username, realm, is_ours=is_ours):
                name = answer.username
                cause = causes.login_blocked(name) if is_ours else causes.unknown_nonce(name)
                continue
            account = self._proven(answer, request.method, realm)
            if isinstance(account, Cause):
                cause = account
                self.guard.wrong(
                    source,
                    answer.username,
                    is_ours=is_ours,
                    call_id=request.call_id,
                    answer=f"{answer.nonce} {answer.count} {answer.cnonce} {answer.response}",
                )
            elif not is_ours or not self.nonces.is_fresh(answer.nonce, now):
                is_stale = True
            elif not self.nonces.use(answer.nonce, _count(answer), now):
                is_stale, cause = True, Cause("the nonce-count was used")
            else:
                self.guard.right(source, answer.username)
                return account
        if foreign is not None and not is_stale:
            raise Refused(400, causes.foreign_digest(foreign), reason="Digest uri does not match")
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
            nonce=self._good_nonce(verified, now) if verified and not is_stale else "",
            is_verified=bool(verified),
        )

    def _answers_for(
        self, request: Request, realm: str, source: str, as_proxy: bool
    ) -> tuple[list[tuple[Answer, bool]], Cause, list[str]]:
        """Our credentials, those with a nonce of ours first, and what is wrong with the others.

        Ours are those of this realm; other realms' and other schemes' are nobody's business here.
        The last of the three are the nonces of those others.
        """
        name = "proxy-authorization" if as_proxy else "authorization"
        cause = Cause("")
        answers: list[tuple[Answer, bool]] = []
        unread: list[str] = []
        for field in request.fields(name):
            try:
                credentials = parse_credentials(field)
            except BadMessage as error:
                cause = cause if cause.text else Cause(error.reason)
                continue
            if credentials.scheme != "digest" or credentials.params.get("realm") != realm:
                continue
            answer = read_answer(credentials.params)
            if isinstance(answer, Answer) and answer.algorithm in self.algorithms:
                if not (answer.username.isalnum() and answer.username.isascii()):
                    self._note_stored_name(answer, realm)
                answers.append((answer, self.nonces.is_ours(answer.nonce, source)))
                continue
            if isinstance(answer, Answer):
                cause = Cause(f"the algorithm {answer.algorithm} is not offered")
            else:
                cause = Cause(answer)
            unread.append(credentials.params.get("nonce", ""))
        if len(answers) > 1:
            answers.sort(key=lambda pair: not pair[1])
        return answers[:MAX_ANSWERS], cause, unread[:MAX_ANSWERS]

    def _good_nonce(self, verified: list[str], now: float) -> str:
        """Return the newest of these nonces that may still be answered rightly, "" for none."""
        good = [nonce for nonce in verified if self.nonces.is_usable(nonce, now)]
        return max(good, default="")  # each begins with its time

    def _note_stored_name(self, answer: Answer, realm: str) -> None:
        """Let an answer name the account as it is stored, if it has written that another way.

        It may be decomposed (RFC 7616 §4), a number with separators, or escaped as in a URI; no
        account has a % in its name.
        """
        for form in (answer.username, unescape(answer.username)):
            account = self.accounts.find(form, realm)
            if account is not None and account.username != answer.username:
                answer.username, answer.written = account.username, answer.username
            if account is not None:
                return

    def account_name(self, uri: Uri, realm: str) -> str:
        """Return the name of the account that a URI of a realm means.

        The name of no account is as it stands there.
        """
        username = self.domains.username_of(uri)
        account = self.accounts.find(username, realm)
        return username if account is None else account.username

    def is_named(self, account: Account, uri: Uri, realm: str) -> bool:
        """Return True where a URI of a realm names an account, in whichever form."""
        username = self.domains.username_of(uri)
        if username == account.username:
            return True
        found = self.accounts.find(username, realm)
        return found is not None and found.id == account.id

    def _proven(self, answer: Answer, method: str, realm: str) -> Account | Cause:
        """The account that an answer is right for, or what is wrong.

        One digest is computed whether or not there is such an account.
        """
        account = self.accounts.find(answer.username, realm)
        ha1 = getattr(account, _HA1[answer.algorithm]) if account else None
        right = is_right(ha1 or _NOBODY, method, answer)
        if account is None or not account.enabled or not ha1 or not right:
            return _cause(account, answer)
        return account

    def _fits(self, uri_text: str, request: Request) -> bool:
        """Tell whether a digest's uri is the Request-URI, or names us (RFC 8760 §2.6, item 6)."""
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
        stale: bool,
        nonce: str,
        is_verified: bool,
    ) -> Challenged:
        """A challenge for each algorithm that would lock no enabled user of the realm out.

        With a new nonce, unless one is given.
        """
        title = "Proxy-Authenticate" if as_proxy else "WWW-Authenticate"
        nonce = nonce or self.nonces.make(self.clock(), source)
        offered = [name for name in self.algorithms if self.accounts.offers(realm, name)]
        if "MD5" in offered and _KNOWS_MD5_ALONE.match(request.value("user-agent") or ""):
            offered = ["MD5"]
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


def _cause(account: Account | None, answer: Answer) -> Cause:
    name = answer.username
    if account is None:
        return causes.unknown_user(name)
    if not account.enabled:
        return causes.disabled_user(name)
    return causes.wrong_password(name, answer.written)


def _count(answer: Answer) -> int:
    """The nonce-count; an answer after RFC 2069 has none and uses its nonce up."""
    return int(answer.count, 16) if answer.qop else ONCE
