"""Requests to a GRUU: its one phone, or the refusal (RFC 5627 §6.1)."""

from sip.core import causes
from sip.core.auth.authenticator import Authenticator
from sip.core.domains import address_of_record
from sip.core.errors import Refused
from sip.core.gruu import is_gruu, is_public_gruu
from sip.core.proxy.target_set import TargetSet
from sip.core.proxy.validation import unreachable_callee
from sip.core.target import Target
from sip.message.message import Request


def gruu_targets(
    request: Request, realm: str, target_set: TargetSet, *, is_external: bool
) -> list[Target]:
    """Return the phone of the GRUU in a request outside a dialog.

    It is not forwarded: it is for this phone only.  With do not disturb the phone gets no new call;
    one with Replaces is about a call that the phone has already.  Raises Refused: 404 for no GRUU
    of ours, 480 for a phone that is away.  An external caller gets 480 for an unknown
    user too, as for any other address; a temporary GRUU names no user, so none can be guessed.
    """
    uri = request.uri
    account = target_set.gruu_user(uri, realm)
    if account is None:
        status = 480 if is_external and is_public_gruu(uri) else 404
        raise Refused(status, causes.UNKNOWN_GRUU.of(uri=uri.text))
    settings = account.call_settings
    is_new_call = request.method == "INVITE" and "replaces" not in request.present
    if is_new_call and not request.to.tag and settings is not None and settings.dnd:
        raise Refused(480, causes.DO_NOT_DISTURB.of(name=account.username))
    targets = target_set.of_gruu(uri, realm)
    if not targets:
        raise Refused(480, unreachable_callee(account.username, is_enabled=account.enabled))
    return targets


def callee_aor(
    request: Request, realm: str, targets: list[Target], authenticator: Authenticator
) -> str:
    """Return the address-of-record that a call to a local domain counts for."""
    phone = targets[0].phone if is_gruu(request.uri) else None
    if phone is not None:
        return phone.aor
    return address_of_record(authenticator.account_name(request.uri, realm), realm)
