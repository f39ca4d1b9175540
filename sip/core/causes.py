"""Causes of refusals that an operator can cure, in plain words: what happened, what to do."""

from dataclasses import replace

from sip.core.domains import Domains
from sip.core.errors import Cause
from sip.message.uri import SipUri, Uri, format_host_port
from sip.transaction.upstream import Upstream

# Characters of a name in a cause: a peer chooses it.
_MAX_NAME = 60
_DEFAULT_PORT = ":5060"


def unknown_user(username: str) -> Cause:
    """Return the cause for credentials of a user name that has no account."""
    return Cause(
        f"there is no user {username[:_MAX_NAME]}",
        "Correct the user name (or authentication name) on the phone, or add the user.",
    )


def disabled_user(username: str) -> Cause:
    """Return the cause for credentials of a disabled account."""
    return Cause(
        f"the account of {username[:_MAX_NAME]} is disabled",
        "Enable it on the page of the user.",
    )


def wrong_password(username: str, written: str = "") -> Cause:
    """Return the cause for a digest that was made with another password.

    `written` is the name as the phone writes it where that is another spelling: what it has hashed
    may be another name than the one that the HA1 was made of.
    """
    if written:
        return Cause(
            f"wrong password for {username[:_MAX_NAME]}, or the phone writes that name as"
            f" {written[:_MAX_NAME]}",
            f"Type the name on the phone as {username[:_MAX_NAME]}, and the password again.",
        )
    return Cause(
        f"wrong password for {username[:_MAX_NAME]}",
        "Type the password on the phone again, or set a new one on the page of the user.",
    )


def has_to_wait(username: str) -> Cause:
    """Return the cause for credentials that are not looked at, whatever they are."""
    name = username[:_MAX_NAME]
    return Cause(
        f"too many wrong passwords; {name} has to wait",
        "Correct the password on the phone. Then lift the wait, under Bans, on the page of the"
        f" user or by the command: sipserver.py forgive {name}. A new password lifts it too.",
    )


def unknown_nonce(username: str) -> Cause:
    """Return the cause for credentials with a nonce that this address was not given.

    Phones answer so after a restart of the server, and once more with the new nonce.
    """
    return Cause(f"{username[:_MAX_NAME]} answered a nonce that is not known")


def foreign_digest(uri: str) -> Cause:
    """Return the cause for a digest whose `uri` names another server."""
    return Cause(
        f"the digest was made for {uri[:_MAX_NAME]}",
        "Correct the domain, registrar and outbound proxy on the phone; a router with a SIP ALG"
        " has to have it switched off.",
    )


def wrong_domain(domains: Domains, uri: Uri, upstream: Upstream) -> Cause:
    """Return the cause for a request to a URI that no password opens: no domain served here."""
    if not isinstance(uri, SipUri) or domains.is_us(uri):  # a Route or maddr leads past us
        return Cause(f"{uri.text[:_MAX_NAME]} leads outside, and the caller is a stranger")
    asked = format_host_port(uri.host, uri.port)[:_MAX_NAME]
    here = upstream.layer.transports.sent_by(upstream.flow).removesuffix(_DEFAULT_PORT)
    is_other_port = uri.port is not None and domains.is_us(replace(uri, port=None))
    other = "" if is_other_port else f", or start with -sip.domains {uri.host[:_MAX_NAME]}"
    return Cause(
        f"the phone asked for {asked}, which is none of this server's domains",
        f"Use {here}{other}.",
    )


def other_user(username: str, claimed: str) -> Cause:
    """Return the cause for a right password of `username` used to act as `claimed`."""
    return Cause(
        f"{username[:_MAX_NAME]} may not act as {claimed[:_MAX_NAME]}",
        "Type the same name as user name and authentication name on the phone.",
    )


def too_many_contacts(bound: int) -> Cause:
    """Return the cause for a registration beyond the contacts that one address may have."""
    return Cause(
        f"{bound} contacts are bound already, and this device has none to replace",
        "Drop those that are no longer used on the page of the user; give phones that are many a"
        " user each.",
    )


def unknown_callee(username: str) -> Cause:
    """Return the cause for a call to an unknown number or name."""
    return Cause(
        f"there is no user {username[:_MAX_NAME]}",
        "Correct what was dialled, or add the user; numbers of a gateway are set by -sip.trunk.",
    )


def unreachable_callee(username: str, *, is_enabled: bool) -> Cause:
    """Return the cause for a call to a user without a phone."""
    name = username[:_MAX_NAME]
    if not is_enabled:
        return Cause(f"{name} is disabled", "Enable the account on the page of the user.")
    return Cause(
        f"{name} is not registered",
        "No phone of this user is registered: see whether it is on, and what its own refusals say.",
    )


def call_to_outside(target: str) -> Cause:
    """Return the cause for a call by a user here to another domain."""
    return Cause(
        f"{target[:_MAX_NAME]} leads outside, and calls to outside are off",
        "Start with -sip.calls_to_outside on, or name a gateway by -sip.trunk.",
    )


def call_from_outside(caller: Uri) -> Cause:
    """Return the cause for a call of an external caller where none are let in."""
    domain = caller.host if isinstance(caller, SipUri) else caller.text
    return Cause(
        f"the caller is of {domain[:_MAX_NAME]}, and calls from outside are off",
        "Where it is a phone of yours, set its domain to this server's. Else start with"
        " -sip.calls_from_outside on, or name the provider by -sip.trunk.",
    )
