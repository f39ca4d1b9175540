"""Local domains, and addresses-of-record (RFC 3261 §10.3)."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sip.message.grammar import BadMessage, unescape
from sip.message.uri import (
    SipUri,
    TelUri,
    Uri,
    parse_host_port,
)
from sip.phone_numbers import may_be_ignored

# URIs whose meaning is cached, as in `parse_uri`; 4096 are about 1.5 MB.
MAX_CACHED_URIS = 4096
_LONGEST_CACHED = 200


class LocalUser(NamedTuple):
    """What a URI of a local domain names: a user, "" for the domain itself, in a realm.

    `aor` is the address-of-record if the account has exactly this name.
    """

    username: str
    realm: str
    aor: str


class _Meaning(NamedTuple):
    """What a URI names: if there is a `host`, only while that is an address of this machine."""

    user: LocalUser | None
    host: str


class Domains:
    """The names and addresses of this server.

    `main` is the main realm; `names` are further names of it; `realms` returns the realms that
    have users, which are local domains too; `is_own_address` returns True for an address or name of
    this machine; `ports` are the ports that this server listens on.
    """

    def __init__(
        self,
        main: str,
        names: Iterable[str],
        realms: Callable[[], frozenset[str]],
        is_own_address: Callable[[str], bool],
        ports: Iterable[int],
    ) -> None:
        self.main = main
        self._realms = realms
        self._is_own_address = is_own_address
        self._ports = frozenset(ports)
        self.set_names(names)

    def set_names(self, names: Iterable[str]) -> None:
        """Replace the further names of the main domain."""
        self._own_names = {name.lower().rstrip("."): self.main for name in (*names, self.main)}
        self._known_realms: frozenset[str] = frozenset()  # empty: the next look-up reads them again
        self._realm_of_host: dict[str, str] = dict(self._own_names)
        self._meanings: dict[str, _Meaning] = {}

    def user_at(self, uri: Uri) -> LocalUser | None:
        """Return the user that a URI names, by `realm_of` and `username_of`; None: not local.

        A phone sends the same URIs in all its requests, so the result is cached by their text,
        until a realm or a name of the main domain comes or goes.  Whether a host is an address of
        this machine is asked each time.
        """
        if self._realms() is not self._known_realms:
            self._read_realms()
        user, host = self._meanings.get(uri.text) or self._meaning_of(uri)
        if host and not self._is_own_address(host):
            return None
        return user

    def _meaning_of(self, uri: Uri) -> _Meaning:
        """Find out what a URI names, and cache that.

        URIs with parameters are not cached: some are new in each dialog, as those of our
        Record-Route, and a phone-context can be an address of this machine.
        """
        if not isinstance(uri, SipUri) or uri.params or ";" in uri.username:
            realm = self._find_realm(uri)
            return _Meaning(None if realm is None else self._user(uri, realm), "")
        meaning = _Meaning(None, "")
        if uri.port is None or uri.port in self._ports:
            realm = self._realm_named(uri.host)
            user = self._user(uri, self.main if realm is None else realm)
            meaning = _Meaning(user, uri.host if realm is None else "")
        if len(uri.text) <= _LONGEST_CACHED:
            if len(self._meanings) >= MAX_CACHED_URIS:
                self._meanings.clear()
            self._meanings[uri.text] = meaning
        return meaning

    def _user(self, uri: Uri, realm: str) -> LocalUser:
        username = self.username_of(uri)
        return LocalUser(username, realm, address_of_record(username, realm))

    def clear_cache(self) -> None:
        """Free the cached meanings of URIs."""
        self._meanings.clear()

    def realm_of(self, uri: Uri) -> str | None:
        """Return the realm whose domain a URI is in; None if the URI is not local.

        An address of this machine belongs to the main realm.  With a port that this server does not
        listen on, it is another program, for instance a softphone on this machine.
        """
        if isinstance(uri, SipUri) and not uri.params:
            user = self.user_at(uri)
            return None if user is None else user.realm
        return self._find_realm(uri)

    def _find_realm(self, uri: Uri) -> str | None:
        if isinstance(uri, TelUri):
            return self._realm_of_number(uri)
        if not isinstance(uri, SipUri) or (uri.port is not None and uri.port not in self._ports):
            return None
        realm = self._realm_named(uri.host)
        if realm is None and self._is_own_address(uri.host):
            return self.main
        return realm

    def claimed_realm(self, uri: Uri) -> str | None:
        """Return the realm that a From URI claims; None for an external caller.

        The port is ignored: a caller with a local name has to authenticate, with any port.
        """
        realm = self.realm_of(uri)
        if realm is None and isinstance(uri, SipUri):
            return self._realm_named(uri.host)
        return realm

    def username_of(self, uri: Uri) -> str:
        """Return the user that a URI of a local domain names, unescaped; "" if it names none.

        A tel: URI names the user of its number.  A phone-context is removed if it is a local domain
        or a number: a number only says where in the telephone network the caller is, and a local
        number is taken as it is dialled here.  The domain of another organization stays, so that
        such a number names no user here (RFC 3966 §5.1.5).
        """
        if isinstance(uri, SipUri) and uri.user and "%" not in uri.user and ";" not in uri.user:
            return uri.user  # the usual case
        if isinstance(uri, TelUri):
            params = [f"{name}={unescape(value or '')}" for name, value in uri.params]
            params = [param for param in params if not may_be_ignored(param, uri.number)]
            username = ";".join([uri.number, *params])
        else:
            username = username_of(uri)
        if ";" not in username:
            return username
        first, *params = username.split(";")
        return ";".join([first, *[param for param in params if not self._is_own_context(param)]])

    def _is_own_context(self, param: str) -> bool:
        name, _, context = param.partition("=")
        if name.lower() != "phone-context":
            return False
        return context[:1] == "+" or self._realm_of_context(context) is not None

    def _realm_of_context(self, context: str) -> str | None:
        try:
            host, port = parse_host_port(context)
        except BadMessage:
            return None
        if port is not None:
            return None
        return self._realm_named(host) or (self.main if self._is_own_address(host) else None)

    def _realm_of_number(self, uri: TelUri) -> str:
        """Return the realm that the phone-context of a number names, else the main realm."""
        for name, value in uri.params:
            if name == "phone-context" and value:
                return self._realm_of_context(unescape(value)) or self.main
        return self.main

    def _realm_named(self, host: str) -> str | None:
        if self._realms() is not self._known_realms:
            self._read_realms()
        if host[-1:] == ".":  # the DNS root: "example.com." and "example.com" are one name
            host = host[:-1]
        return self._realm_of_host.get(host)

    def _read_realms(self) -> None:
        self._known_realms = self._realms()
        self._realm_of_host = {realm.lower(): realm for realm in self._known_realms}
        self._realm_of_host |= self._own_names
        self._meanings.clear()

    def has_foreign_maddr(self, uri: Uri) -> bool:
        """Return True if a URI has a maddr, and that does not lead to this server (§16.5)."""
        if not isinstance(uri, SipUri) or not uri.params:
            return False
        maddr = uri.param("maddr")
        if not maddr:
            return False
        if uri.port is not None and uri.port not in self._ports:
            return True
        host, _ = parse_host_port(maddr)
        return self._realm_named(host) is None and not self._is_own_address(host)

    def has_realm(self, realm: str) -> bool:
        """Return True if credentials of this realm are for this server."""
        return realm == self.main or realm in self._realms()

    def is_local(self, uri: Uri) -> bool:
        """Return True if a URI names this server or one of its domains."""
        return self.realm_of(uri) is not None


def address_of_record(username: str, realm: str) -> str:
    """Return the canonical form of an AOR, an unescaped user in a realm (§10.3, step 5).

    `username` is the name of the account.  An @ in it stays escaped, so that the first @ of an AOR
    is the one before its realm.
    """
    return f"{username.replace('@', '%40')}@{realm}" if "@" in username else f"{username}@{realm}"


def user_of_aor(aor: str) -> tuple[str, str]:
    """Split an AOR into the name of the account and its realm."""
    username, _, realm = aor.partition("@")
    return username.replace("%40", "@"), realm


def username_of(uri: Uri) -> str:
    """Return the user part of a URI, unescaped, or the number of a tel: URI.

    `Domains.username_of` and the accounts find the account that it means.
    """
    if isinstance(uri, SipUri):
        return uri.username
    return uri.number if isinstance(uri, TelUri) else ""
