"""The names in a certificate, and whether they mean a SIP domain (RFC 5922 §7)."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from sip.message.grammar import BadMessage
from sip.message.uri import SipUri, parse_uri


def sip_identities(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the SIP domains of a verified certificate, as ssl's getpeercert() describes it.

    A URI names a domain if it is a SIP URI without a user.  DNS names count only if no URI does
    (RFC 5922 §7.1).  Addresses are names, too, for next hops that are known by an address only.
    """
    names = (certificate or {}).get("subjectAltName", ())
    uris = {domain for kind, text in names if kind == "URI" and (domain := _domain_of(text))}
    hosts = {text.lower().rstrip(".") for kind, text in names if kind == "DNS"}
    addresses = {_address(text) for kind, text in names if kind == "IP Address"}
    return frozenset((uris or hosts) | addresses) - {""}


def is_identity(name: str, identities: frozenset[str]) -> bool:
    """Return True if a domain is among identities; wildcards mean nothing (RFC 5922 §7.2)."""
    wanted = name.lower().rstrip(".")
    return wanted in identities or _address(wanted) in identities - {""}


def _domain_of(text: str) -> str:
    """Return the domain that a URI in a certificate names, "" for any other URI."""
    try:
        uri = parse_uri(text)
    except BadMessage:
        return ""
    if not isinstance(uri, SipUri) or uri.scheme != "sip" or uri.user is not None:
        return ""
    return uri.host.lower().rstrip(".")


def _address(text: str) -> str:
    """Return an address in its usual form, "" for other text."""
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return ""
