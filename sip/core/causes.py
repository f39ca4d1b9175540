"""All causes of refused requests and failed calls: a key, a clause that says why, and the cure.

A cause has one key wherever it is met: in log lines, on pages, in events and webhooks, in the
Warning of a response, and as the label `cause` of a metric.  docs/causes.md lists them all.
"""

from dataclasses import replace
from typing import Final

from sip.core.domains import Domains
from sip.core.errors import Cause
from sip.message.uri import SipUri, Uri, format_host_port

# Longest value in a cause, in characters: a peer chooses it.
_MAX_VALUE = 60
_DEFAULT_PORT = ":5060"


class CauseKind:
    """One kind of cause.  `{name}` in the clause and in the cure stands for a value."""

    def __init__(self, code: str, text: str, cure: str) -> None:
        self.code: Final = code
        self.text: Final = text
        self.cure: Final = cure
        # The only cause of this kind, if it has no values.
        self._fixed: Final = None if "{" in text + cure else Cause(code, text, cure)

    def of(self, **values: str) -> Cause:
        """Return the cause with these values, each cut to 60 characters."""
        if self._fixed is not None:
            return self._fixed
        short = {name: value[:_MAX_VALUE] for name, value in values.items()}
        return Cause(self.code, self.text.format_map(short), self.cure.format_map(short))


# All kinds by their key.
CAUSES: dict[str, CauseKind] = {}


def _kind(code: str, text: str, cure: str = "") -> CauseKind:
    kind = CAUSES[code] = CauseKind(code, text, cure)
    return kind


# Logins

# Nothing is wrong: the first request of a phone has no credentials.  It is not logged.
NO_CREDENTIALS = _kind("no_credentials", "")
UNKNOWN_USER = _kind(
    "unknown_user",
    "unknown user {name}",
    "Correct the user name (or authentication name) on the phone, or add the user.",
)
DISABLED_USER = _kind(
    "disabled_user",
    "account {name} is disabled",
    "Enable the account on the page of the user.",
)
WRONG_PASSWORD = _kind(
    "wrong_password",
    "wrong password for {name}",
    "Enter the password on the phone again, or set a new one on the page of the user.",
)
WRONG_SPELLING = _kind(
    "wrong_spelling",
    "wrong password for {name}, or the phone writes that name as {written}",
    "Enter the name on the phone as {name}, and enter the password again.",
)
LOGIN_BLOCKED = _kind(
    "login_blocked",
    "too many wrong passwords for {name}, logins are blocked",
    "Correct the password on the phone. Then end the block under Trouble, on the page of the user,"
    " or with the command: sipserver.py forgive {name}. A new password also ends it.",
)
# Phones send such credentials after a restart of the server, and then use the new nonce.
UNKNOWN_NONCE = _kind("unknown_nonce", "unknown nonce in the credentials of {name}")
REUSED_NONCE = _kind(
    "reused_nonce",
    "the nonce-count was used before",
    "The phone logs in again by itself. If it happens often, update the software of the phone.",
)
UNUSABLE_CREDENTIALS = _kind(
    "unusable_credentials",
    "unusable credentials: {fault}",
    "Update the software of the phone, or choose plain Digest authentication on it.",
)
FOREIGN_DIGEST = _kind(
    "foreign_digest",
    "digest uri {uri} is not the Request-URI",
    "Correct the domain, registrar and outbound proxy on the phone. If a router has a SIP ALG,"
    " switch it off.",
)
OTHER_USER = _kind(
    "other_user",
    "{name} may not act as {claimed}",
    "Enter the same name as user name and as authentication name on the phone.",
)

# Domains

WRONG_DOMAIN = _kind(
    "wrong_domain",
    "{domain} is no domain of this server",
    "Set the domain on the phone to {advice}.",
)
NO_RELAY = _kind(
    "no_relay",
    "{uri} is external, and so is the caller",
    "Nothing needs to be done: one side of a call has to be a user here. If the caller is a user,"
    " set the domain on the phone.",
)
WRONG_ADDRESS = _kind(
    "wrong_address",
    "{uri} is not an address of {domain}",
    "Set the same domain for the account and for the registrar on the phone.",
)
CALL_TO_OUTSIDE = _kind(
    "call_to_outside",
    "{uri} is external, -sip.calls_to_outside is off",
    "Set -sip.calls_to_outside on, or set a gateway with -sip.trunk.",
)
CALL_FROM_OUTSIDE = _kind(
    "call_from_outside",
    "external caller from {domain}, -sip.calls_from_outside is off",
    "If it is your own phone, set its domain to the domain of this server. Otherwise set"
    " -sip.calls_from_outside on, or set the provider as a gateway with -sip.trunk.",
)

# Registrations

INTERVAL_TOO_BRIEF = _kind(
    "interval_too_brief",
    "expires in {requested} s, the minimum is {minimum} s",
    "The phone asks again by itself. If it does not, set a longer registration time on it.",
)
TOO_MANY_CONTACTS = _kind(
    "too_many_contacts",
    "contact limit reached: {count} contacts, none of this phone to replace",
    "Remove unused contacts on the page of the user. If there are many phones, give each of them a"
    " user of its own.",
)
REGISTER_TOO_LARGE = _kind(
    "register_too_large",
    "larger than the REGISTER of any phone: {fault}",
    "Correct the settings of the phone, or of the proxy between the phone and this server.",
)
PATH_UNSUPPORTED = _kind(
    "path_unsupported",
    "the phone does not support Path, but a proxy has added one",
    "Update the software of the phone, or let it register without that proxy.",
)
PATH_LOOP = _kind(
    "path_loop",
    "the Path leads back to this server",
    "Correct the proxy between the phone and this server: its Path names this server.",
)
SIPS_CONTACT = _kind(
    "sips_contact",
    "the Contact is a sips: URI, the Request-URI or the Path is not",
    "Switch off sips: URIs on the phone; this server does not require them.",
)
CSEQ_OUT_OF_ORDER = _kind(
    "cseq_out_of_order",
    "CSeq {cseq} is not above that of an earlier REGISTER",
    "A delayed message may do this once. If it happens often, update the software of the phone.",
)
NOT_SAVED = _kind(
    "not_saved",
    "the registration is not saved: {fault}",
    "Look in the log for “database write failed”, and make room on the disk. The phone tries again"
    " by itself.",
)

# Messages that this server cannot serve

MALFORMED = _kind(
    "malformed",
    "malformed message: {fault}",
    "Update the software of the sender: its message breaks the rules of SIP.",
)
UNSUPPORTED_SCHEME = _kind(
    "unsupported_scheme",
    "unsupported URI scheme {scheme}",
    "Use sip: or tel: addresses on the phone.",
)
SIPS_WITHOUT_TLS = _kind(
    "sips_without_tls",
    "a request to a sips: URI came over {transport}, which is not encrypted",
    "Set the transport of the phone to TLS, or switch off sips: URIs on it.",
)
UNSUPPORTED_EXTENSION = _kind(
    "unsupported_extension",
    "unsupported extension {tags}",
    "Switch this extension off on the phone: it requires what this server does not have.",
)
UNSUPPORTED_BODY = _kind(
    "unsupported_body",
    "unsupported body of type {type}",
    "Update the software of the phone: a request to the server itself needs no body.",
)
UNSUPPORTED_EVENT = _kind(
    "unsupported_event",
    "unsupported event {event}",
    "Switch the subscription off on the phone; there is no voice mail, presence or busy lamp here.",
)
METHOD_NOT_ALLOWED = _kind(
    "method_not_allowed",
    "the server itself does not accept {method}",
    "Write a user name before the @ of the called address.",
)
UNKNOWN_METHOD = _kind(
    "unknown_method",
    "unknown method {method}",
    "Nothing needs to be done: the sender uses a method that this server does not know.",
)

# Routing

LOOP = _kind(
    "loop",
    "loop detected",
    "Two servers, or two contacts, forward to each other. Correct these contacts or trunks.",
)
TOO_MANY_HOPS = _kind(
    "too_many_hops",
    "Max-Forwards exhausted",
    "The request has passed too many proxies. Look for servers that forward to each other.",
)
TOO_MANY_BRANCHES = _kind(
    "too_many_branches",
    "Max-Breadth exhausted",
    "The request was copied for too many phones. Remove unused contacts of the called user.",
)
MERGED_REQUEST = _kind(
    "merged_request",
    "merged request: it arrived by another path before",
    "A proxy before this server sends each request twice. Correct its routes.",
)
NO_TICKET = _kind(
    "no_ticket",
    "no Route with a valid signature for this dialog",
    "The phone does not follow Record-Route, or the call began at another server. Update the"
    " software of the phone.",
)
FOREIGN_TARGET = _kind(
    "foreign_target",
    "{uri} was named by no side of this dialog",
    "Update the software of the phone: it sends a request of a call to a third address.",
)
FLOW_LOST = _kind(
    "flow_lost",
    "the flow to the phone is lost, and the phone is no longer registered",
    "Check the network of that phone; its router or its connection has changed during the call.",
)
NO_ROUTE = _kind(
    "no_route",
    "no way to {uri}: {fault}",
    "Check the host name, and that the name servers answer (-sip.dns, or those of the machine).",
)
UNREACHABLE = _kind(
    "unreachable",
    "{peer} cannot be reached",
    "Check that the phone or gateway is switched on and connected, and that no firewall is between"
    " it and this server.",
)
NO_CONNECTION = _kind(
    "no_connection",
    "{peer} has closed its connection and accepts no other",
    "Check that the phone is switched on. It is called again as soon as it has registered.",
)
NO_RESPONSE = _kind(
    "no_response",
    "{peer} does not respond",
    "Check that the phone or gateway is switched on and connected, and that its router has no SIP"
    " ALG.",
)
GATEWAY_LOGIN = _kind(
    "gateway_login",
    "{peer} rejects the login of this server",
    "Correct user name and password in -sip.trunk.",
)
TOO_LARGE_FOR_UDP = _kind(
    "too_large_for_udp",
    "the request is larger than a datagram, and {peer} has no TCP",
    "Reduce the number of codecs on the phone, or let the called phone register over TCP.",
)

# Limits of this server

TOO_MANY_CALLS_FOR_USER = _kind(
    "too_many_calls_for_user",
    "{count} external calls to {aor} are waiting",
    "If they come from your provider or gateway, name it by -sip.trunk or -guard.trusted.",
)
TOO_MANY_CALLS_OF_SOURCE = _kind(
    "too_many_calls_of_source",
    "{count} calls of this source wait for an answer or an ACK",
    "If they come from your provider or gateway, name it by -sip.trunk or -guard.trusted.",
)
OVERLOADED = _kind(
    "overloaded",
    "overloaded: {count} requests pending",
    "Look at the ringing calls. If they are an attack, block its addresses in the firewall;"
    " otherwise use a faster machine.",
)
STOPPING = _kind(
    "stopping",
    "the server is stopping",
    "Wait for the next start; phones try again by themselves.",
)
INTERNAL_ERROR = _kind(
    "internal_error",
    "internal error",
    "This is a fault of the server: please report it with the traceback in the log.",
)

# Bans: requests of a banned address are not answered at all

PASSWORD_GUESSING = _kind(
    "password_guessing",
    "guessed passwords, last user {name}",
    "If it is a phone of yours, correct its password and remove the ban. Trust the network if many"
    " phones are behind this address.",
)
SCANNER = _kind(
    "scanner",
    "scanner, User-Agent {agent}",
    "Nothing needs to be done: this program searches for servers and users.",
)

# Callees

REFUSED_BY_HOOK = _kind(
    "refused_by_hook",
    "refused by a hook: {text}",
    "Look into the file of -hooks.file: its function route has refused the call.",
)
ROBOT_REFUSED = _kind(
    "robot_refused",
    "the robot refuses: {text}",
    "The robot is only for a first test of a phone, by G.711. Hang up, and call it again.",
)
UNKNOWN_CALLEE = _kind(
    "unknown_callee",
    "unknown callee {name}",
    "Correct the dialled number or name, or add the user. The numbers of a gateway are set by"
    " -sip.trunk.",
)
DISABLED_CALLEE = _kind(
    "disabled_callee",
    "callee {name} is disabled",
    "Enable the account on the page of the user.",
)
UNREGISTERED_CALLEE = _kind(
    "unregistered_callee",
    "callee {name} is not registered",
    "Check that a phone of this user is switched on, and look for refusals of its REGISTER.",
)
SIPS_NOT_ALLOWED = _kind(
    "sips_not_allowed",
    "no phone of {name} has registered a sips: Contact over TLS",
    "Call the sip: address, or let that phone register by a sips: address over TLS.",
)
DO_NOT_DISTURB = _kind(
    "do_not_disturb",
    "{name} does not want to be disturbed",
    "The user ends it by dialling *79; or change it on the page of the user.",
)
FORWARDED = _kind("forwarded", "forwarded to {target}: {why}")
FORWARD_LOOP = _kind(
    "forward_loop",
    "the forwarding leads back to a user or group that was called already",
    "Change the forwarding of one of these users or groups.",
)
NO_MEMBER = _kind(
    "no_member",
    "no member of the group {name} has answered",
    "Check that phones of the members are registered, or set a target for unanswered calls.",
)
SETTING_REFUSED = _kind(
    "setting_refused",
    "the call setting is not changed: {text}",
    "Dial the code again with a number that can be called, for example *72102.",
)
CANCELLED = _kind("cancelled", "the caller hung up before the answer")
HUNG_UP = _kind("hung_up", "hung up")
HUNG_UP_BY_ADMIN = _kind("hung_up_by_admin", "hung up by an administrator")
REPLACED = _kind("replaced", "replaced by another call")
TRANSFERRED = _kind("transferred", "transferred to {target}")
SESSION_EXPIRED = _kind(
    "session_expired",
    "session timer expired",
    "Check the power and the network of both phones: neither has refreshed the call.",
)
BOTH_GONE = _kind(
    "both_gone",
    "both phones are gone",
    "Check the power and the network of both phones.",
)
NO_ANSWER = _kind(
    "no_answer",
    "{peer} was not answered in time",
    "Nothing is wrong with the server. A mailbox or a second phone could take such calls.",
)
BUSY = _kind("busy", "{peer} is busy")
DECLINED = _kind("declined", "{peer} declined the call")
UNAVAILABLE = _kind(
    "unavailable",
    "{peer} takes no calls now",
    "Look for “do not disturb” or a forwarding on the phone.",
)
NUMBER_UNKNOWN_THERE = _kind(
    "number_unknown_there",
    "{peer} does not know the called number",
    "Correct the dialled number. If it is right, correct the account on the phone or the numbers of"
    " the gateway.",
)
MEDIA_NOT_ACCEPTED = _kind(
    "media_not_accepted",
    "{peer} accepts none of the offered codecs or encryption",
    "Choose a common codec on both phones, such as G.711, and the same encryption (SRTP) or none.",
)
EXTENSION_NOT_ACCEPTED = _kind(
    "extension_not_accepted",
    "{peer} does not support an extension that the call requires",
    "Switch off session timers, reliable ringing (100rel) or required encryption on the caller's"
    " phone.",
)
PASSWORD_ASKED_THERE = _kind(
    "password_asked_there",
    "{peer} asks the caller for a password",
    "Set the phone so that it accepts calls from this server without a password.",
)
REDIRECTED = _kind(
    "redirected",
    "{peer} redirects the call to another address",
    "Correct the forwarding on the phone, or start with -sip.follow_redirects on.",
)
METHOD_NOT_ACCEPTED = _kind(
    "method_not_accepted",
    "{peer} does not accept {method}",
    "If something does not work, switch on or update this function on that phone or gateway.",
)
CALL_UNKNOWN_THERE = _kind(
    "call_unknown_there",
    "{peer} does not know this call any more",
    "Nothing needs to be done, if one side has just hung up or restarted.",
)
CHANGED_BY_BOTH = _kind(
    "changed_by_both",
    "{peer} changes the call at the same moment",
    "Nothing needs to be done: one of the phones tries again by itself.",
)
FAILED_THERE = _kind(
    "failed_there",
    "{peer} answered {status} {phrase}",
    "Look for this status in the manual or in the log of that phone or gateway.",
)


def wrong_password(username: str, written: str = "") -> Cause:
    """Return the cause for a digest that was made with another password.

    `written` is the name as the phone writes it, if that is another spelling than the account's:
    the phone may have hashed its own spelling, while the HA1 was made of the account's.
    """
    if written:
        return WRONG_SPELLING.of(name=username, written=written)
    return WRONG_PASSWORD.of(name=username)


def wrong_domain(domains: Domains, uri: Uri, own: str) -> Cause:
    """Return the cause for a request to a URI in no local domain; `own` is our host and port."""
    if not isinstance(uri, SipUri) or domains.is_local(uri):  # a Route or maddr leads past us
        return NO_RELAY.of(uri=uri.text)
    asked = format_host_port(uri.host, uri.port)
    here = own.removesuffix(_DEFAULT_PORT)
    without_port = replace(uri, text=f"sip:{uri.host}", port=None)
    is_other_port = uri.port is not None and domains.is_local(without_port)
    cause = WRONG_DOMAIN.of(domain=asked, advice=here)
    if is_other_port:
        return cause
    other = f", or start with -sip.domains {uri.host[:_MAX_VALUE]}."
    return cause._replace(cure=cause.cure.removesuffix(".") + other)


def malformed(fault: str) -> Cause:
    """Return the cause for a message that breaks the rules of SIP."""
    return MALFORMED.of(fault=fault)


def unreachable_callee(username: str, *, is_enabled: bool) -> Cause:
    """Return the cause for a call to a user without a registered phone."""
    return (UNREGISTERED_CALLEE if is_enabled else DISABLED_CALLEE).of(name=username)


def call_from_outside(caller: Uri) -> Cause:
    """Return the cause for a call of an external caller, if such calls are off."""
    return CALL_FROM_OUTSIDE.of(domain=caller.host if isinstance(caller, SipUri) else caller.text)
