"""Causes of refusals that an operator can cure: a short fact for the log, and what to do."""

from dataclasses import replace

from sip.core.domains import Domains
from sip.core.errors import Cause
from sip.message.uri import SipUri, Uri, format_host_port
from sip.transaction.upstream import Upstream

# Longest name in a cause, in characters: a peer chooses it.
_MAX_NAME = 60
_DEFAULT_PORT = ":5060"


def unknown_user(username: str) -> Cause:
    """Return the cause for credentials of a user name that has no account."""
    return Cause(
        f"unknown user {username[:_MAX_NAME]}",
        "Correct the user name (or authentication name) on the phone, or add the user.",
    )


def disabled_user(username: str) -> Cause:
    """Return the cause for credentials of a disabled account."""
    return Cause(
        f"account {username[:_MAX_NAME]} is disabled",
        "Enable the account on the page of the user.",
    )


def wrong_password(username: str, written: str = "") -> Cause:
    """Return the cause for a digest that was made with another password.

    `written` is the name as the phone writes it, if that is another spelling than the account's:
    the phone may have hashed its own spelling, while the HA1 was made of the account's.
    """
    if written:
        return Cause(
            f"wrong password for {username[:_MAX_NAME]}, or the phone writes that name as"
            f" {written[:_MAX_NAME]}",
            f"Enter the name on the phone as {username[:_MAX_NAME]}, and enter the password again.",
        )
    return Cause(
        f"wrong password for {username[:_MAX_NAME]}",
        "Enter the password on the phone again, or set a new one on the page of the user.",
    )


def login_blocked(username: str) -> Cause:
    """Return the cause for credentials that are not checked, because logins are blocked."""
    name = username[:_MAX_NAME]
    return Cause(
        f"too many wrong passwords for {name}, logins are blocked",
        "Correct the password on the phone. Then end the block under Bans, on the page of the user,"
        f" or with the command: sipserver.py forgive {name}. A new password also ends it.",
    )


def unknown_nonce(username: str) -> Cause:
    """Return the cause for credentials with a nonce that was not given to this address.

    Phones send such credentials after a restart of the server, and then use the new nonce.
    """
    return Cause(f"unknown nonce in the credentials of {username[:_MAX_NAME]}")


def foreign_digest(uri: str) -> Cause:
    """Return the cause for a digest whose `uri` names another server."""
    return Cause(
        f"digest uri {uri[:_MAX_NAME]} is not the Request-URI",
        "Correct the domain, registrar and outbound proxy on the phone. If a router has a SIP ALG,"
        " switch it off.",
    )


def wrong_domain(domains: Domains, uri: Uri, upstream: Upstream) -> Cause:
    """Return the cause for a request to a URI that is in no local domain."""
    if not isinstance(uri, SipUri) or domains.is_local(uri):  # a Route or maddr leads past us
        return Cause(f"{uri.text[:_MAX_NAME]} is external, and so is the caller")
    asked = format_host_port(uri.host, uri.port)[:_MAX_NAME]
    here = upstream.layer.transports.sent_by(upstream.flow).removesuffix(_DEFAULT_PORT)
    without_port = replace(uri, text=f"sip:{uri.host}", port=None)
    is_other_port = uri.port is not None and domains.is_local(without_port)
    other = "" if is_other_port else f", or start with -sip.domains {uri.host[:_MAX_NAME]}"
    return Cause(
        f"{asked} is no domain of this server",
        f"Set the domain on the phone to {here}{other}.",
    )


def other_user(username: str, claimed: str) -> Cause:
    """Return the cause for the right password of `username` in a request by `claimed`."""
    return Cause(
        f"{username[:_MAX_NAME]} may not act as {claimed[:_MAX_NAME]}",
        "Enter the same name as user name and as authentication name on the phone.",
    )


def too_many_contacts(bound: int) -> Cause:
    """Return the cause for a registration beyond the contact limit of one user."""
    return Cause(
        f"contact limit reached: {bound} contacts, none of this phone to replace",
        "Remove unused contacts on the page of the user. If there are many phones, give each of"
        " them a user of its own.",
    )


def unknown_callee(username: str) -> Cause:
    """Return the cause for a call to an unknown number or name."""
    return Cause(
        f"unknown callee {username[:_MAX_NAME]}",
        "Correct the dialled number or name, or add the user. The numbers of a gateway are set by"
        " -sip.trunk.",
    )


def unreachable_callee(username: str, *, is_enabled: bool) -> Cause:
    """Return the cause for a call to a user without a registered phone."""
    name = username[:_MAX_NAME]
    if not is_enabled:
        return Cause(f"callee {name} is disabled", "Enable the account on the page of the user.")
    return Cause(
        f"callee {name} is not registered",
        "Check that a phone of this user is switched on, and look for refusals of its REGISTER.",
    )


def call_to_outside(target: str) -> Cause:
    """Return the cause for a call of a local user to another domain."""
    return Cause(
        f"{target[:_MAX_NAME]} is external, -sip.calls_to_outside is off",
        "Start with -sip.calls_to_outside on, or set a gateway with -sip.trunk.",
    )


def call_from_outside(caller: Uri) -> Cause:
    """Return the cause for a call of an external caller, if such calls are off."""
    domain = caller.host if isinstance(caller, SipUri) else caller.text
    return Cause(
        f"external caller from {domain[:_MAX_NAME]}, -sip.calls_from_outside is off",
        "If it is your own phone, set its domain to the domain of this server. Otherwise start with"
        " -sip.calls_from_outside on, or set the provider as a gateway with -sip.trunk.",
    )
