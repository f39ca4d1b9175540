"""The settings table: names, defaults, parsers and meanings.

Each field of `Config` is one setting.  Flags, environment variables, file entries and the text of
`-help` are generated from the fields, so a new setting is one new field here.
"""

# ruff: noqa: RUF009 -- `setting` makes a dataclass field, not a default value

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sip.addresses import (
    Address,
    Advertised,
    parse_address,
    parse_advertised,
    parse_name_servers,
    parse_optional_address,
    parse_origins,
    parse_relay,
)
from sip.core.trunk import Trunk, parse_trunks
from sip.ice_servers import IceServer, parse_ice_servers
from sip.monitor.event_names import EVENT_NAMES
from sip.operator_values import (
    Network,
    PortRange,
    parse_event_names,
    parse_host_names,
    parse_mebibytes,
    parse_networks,
    parse_path_secret,
    parse_ports,
    parse_proxies,
    parse_realm,
    parse_seconds,
    parse_seconds_or_never,
    parse_switch,
    parse_url,
    whole_number,
)

PREFIX = "SIPSERVER_"

# Variables of ours that have no flag: a password in a flag would be visible in `ps`.
OTHER_VARIABLES = frozenset({"SIPSERVER_ADMIN_PASSWORD"})

# Shown in the place of a password or another secret.
SECRET = "***"  # noqa: S105 -- no password

DIGESTS = ("MD5", "SHA-256", "SHA-512-256")

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)


class CommandError(Exception):
    """A command failed.  The text is a sentence for the operator, `status` the exit code."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


class ConfigError(CommandError):
    """The value of a setting is not valid."""

    def __init__(self, sentence: str, status: int = 2) -> None:
        super().__init__(sentence, status)


def parse_path(text: str) -> str:
    """Parse a file name, or the `sqlite:///` URL of a file.

    Raises ValueError, or ConfigError with exit code 1 for another scheme.  The error names the
    scheme only: the rest of a URL may contain a password.
    """
    url = _URL.fullmatch(text)
    if url is None:
        if not text or text == ":memory:":
            raise ValueError("the database must be a file, so that accounts survive a restart")
        if text.startswith("file:"):
            raise ValueError("write the path of the file only, without file: before it")
        return text
    scheme, rest = url["scheme"].lower(), url["rest"]
    if scheme.partition("+")[0] != "sqlite":
        raise ConfigError(
            f"{scheme} databases are not supported yet; choose a file: -db.path sip_users.db", 1
        )
    if not rest.startswith("/") or rest in ("/", "/:memory:") or "?" in rest:
        raise ValueError("write the URL like sqlite:///sip_users.db or sqlite:////var/lib/sip.db")
    return rest[1:]


def _digests(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip().upper() for name in text.split(",")))
    if not set(names) <= set(DIGESTS):
        raise ValueError(f"{text!r} must be one or more of {', '.join(DIGESTS)}")
    return names


def _one_of(*words: str) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"{text!r} must be one of {', '.join(words)}")
        return text.lower()

    return choose


def _mask_trunks(text: str) -> str:
    """Return trunks with SECRET in the place of each password."""
    try:
        trunks = parse_trunks(text)
    except ValueError:
        return SECRET
    if not any(trunk.password for trunk in trunks):
        return text
    return ",".join(
        str(trunk).replace("@", f":{SECRET}@", 1) if trunk.password else str(trunk)
        for trunk in trunks
    )


def _mask_url(text: str) -> str:
    """Return a URL with SECRET in the place of its path and query: these may have a key."""
    return re.sub(r"(?<=[^/:])[/?#](?=[^/]).*", f"/{SECRET}", text, count=1, flags=re.DOTALL)


def setting(
    default: str,
    parse: Callable[[str], object],
    meaning: str,
    *,
    value: str,
    also: Mapping[str, str] | None = None,
    holds_password: Callable[[Any], bool] = lambda value: False,
    mask: Callable[[str], str] = lambda text: text,
    is_shown: bool = True,
) -> Any:
    """Describe one setting as a dataclass field.

    `default` is text and goes through `parse` like a value from the operator.  `value` is the
    placeholder in `-help` and names the unit.  `also` maps more environment variables, read after
    ours, to the pattern that makes a value of their text.  A value for which `holds_password`
    returns True is refused in a flag: every user of the machine can read flags.  `mask` returns
    the text of a value with SECRET in the place of what only its owner may know.  `is_shown` is
    False if the value as a whole is a secret, so that no repr contains it.
    """
    return field(
        default=parse(default),
        repr=is_shown,
        metadata={
            "default": default,
            "parse": parse,
            "meaning": meaning,
            "value": value,
            "also": dict(also or {}),
            "holds_password": holds_password,
            "mask": mask,
        },
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """One value for every setting, checked.  The field `sip_addr` is the setting `sip.addr`."""

    web_addr: Address = setting(
        ":8080",
        parse_address,
        "address of the web admin",
        value="ADDRESS",
        also={"PORT": ":{}"},
    )
    web_cert: str = setting(
        "", str, "PEM file with the certificate chain of the web admin (HTTPS)", value="FILE"
    )
    web_key: str = setting("", str, "PEM file with the private key of -web.cert", value="FILE")
    web_metrics_open: bool = setting(
        "off", parse_switch, "show /metrics without a token", value="on|off"
    )
    web_proxies: tuple[Network, ...] = setting(
        "",
        parse_proxies,
        "reverse proxies in front of the web admin, whose X-Forwarded-For is believed",
        value="NETWORKS",
    )
    web_second_factor: bool = setting(
        "off",
        parse_switch,
        "require a second factor (TOTP) of each administrator",
        value="on|off",
    )
    sip_addr: Address = setting(
        ":5060", parse_address, "address for SIP over UDP and TCP", value="ADDRESS"
    )
    tls_addr: Address | None = setting(
        ":5061",
        parse_optional_address,
        "address for SIP over TLS, used as soon as there is a certificate; off: none",
        value="ADDRESS",
    )
    tls_cert: str = setting(
        "", str, "PEM file with the certificate chain for SIP, instead of -web.cert", value="FILE"
    )
    tls_key: str = setting("", str, "PEM file with the private key of -tls.cert", value="FILE")
    tls_ca: str = setting(
        "",
        str,
        "PEM file of the authorities that other SIP servers need, instead of the system's",
        value="FILE",
    )
    tls_client_ca: str = setting(
        "",
        str,
        "PEM file of the authorities of client certificates, which peers may then show",
        value="FILE",
    )
    ws_addr: Address | None = setting(
        "off",
        parse_optional_address,
        "address for SIP over WebSocket, besides -web.addr, which has it always; off: none",
        value="ADDRESS",
    )
    wss_addr: Address | None = setting(
        "off",
        parse_optional_address,
        "address for SIP over WebSocket within TLS, besides -web.addr; off: none",
        value="ADDRESS",
    )
    ws_origins: tuple[str, ...] = setting(
        "",
        parse_origins,
        "other web sites whose pages may use WebSocket, such as https://office.example.com",
        value="ORIGINS",
    )
    db_path: str = setting(
        "sip_users.db",
        parse_path,
        "SQLite database of accounts and registrations: a file, or a sqlite:/// URL",
        value="FILE",
        also={"DATABASE_URL": "{}"},
    )
    sip_realm: str = setting(
        "go-sip-server",
        parse_realm,
        "digest realm; also the main SIP domain if it is a valid host name",
        value="REALM",
    )
    sip_domains: tuple[str, ...] = setting(
        "",
        parse_host_names,
        "more names of the main SIP domain, separated by commas",
        value="NAMES",
    )
    sip_advertise: Advertised | None = setting(
        "",
        parse_advertised,
        "host[:port] advertised in Via and Record-Route",
        value="HOST[:PORT]",
    )
    sip_calls_from_outside: bool = setting(
        "on", parse_switch, "accept calls from other domains to local users", value="on|off"
    )
    sip_calls_to_outside: bool = setting(
        "off", parse_switch, "allow local users to call other domains", value="on|off"
    )
    sip_trunk: tuple[Trunk, ...] = setting(
        "",
        parse_trunks,
        "gateways for phone numbers: NUMBERS=sip:[ACCOUNT:PASSWORD@]HOST, separated by commas",
        value="TRUNKS",
        holds_password=lambda trunks: any(trunk.password for trunk in trunks),
        mask=_mask_trunks,
    )
    sip_follow_redirects: bool = setting(
        "off",
        parse_switch,
        "follow a 3xx redirection to local users, instead of sending the 3xx to the caller",
        value="on|off",
    )
    sip_dns: tuple[tuple[str, int], ...] = setting(
        "",
        parse_name_servers,
        "DNS servers for SIP, separated by commas, instead of those of the system",
        value="ADDRESSES",
    )
    sip_keepalive: int = setting(
        "25",
        parse_seconds_or_never,
        "interval of NAT keep-alives over UDP; 0 disables them",
        value="SECONDS",
    )
    sip_min_expires: int = setting(
        "60",
        parse_seconds,
        "minimum Expires; shorter requests are refused with 423",
        value="SECONDS",
    )
    sip_max_expires: int = setting(
        "7200", parse_seconds, "maximum Expires; longer requests are shortened", value="SECONDS"
    )
    sip_default_expires: int = setting(
        "3600", parse_seconds, "default Expires, for phones that send none", value="SECONDS"
    )
    sip_digest: tuple[str, ...] = setting(
        "MD5,SHA-256",
        _digests,
        "digest algorithms, in the order of the challenges: MD5, SHA-256 or SHA-512-256",
        value="NAMES",
    )
    calls_keep: int = setting(
        "90",
        whole_number(3650),
        "how long the history of calls is kept; 0 keeps none",
        value="DAYS",
    )
    calls_keep_rows: int = setting(
        "1000000",
        whole_number(100_000_000),
        "maximum calls in the history, some 230 bytes each; 0 keeps none",
        value="CALLS",
    )
    robot: bool = setting(
        "on",
        parse_switch,
        "let users call echo, tone, busy, noanswer and whoami, to try a phone out",
        value="on|off",
    )
    rtp_ports: PortRange = setting(
        "10000-10099",
        parse_ports,
        "UDP ports for the sound of the robot's calls, two for each call",
        value="FIRST-LAST",
    )
    media_rtpengine: tuple[str, int] | None = setting(
        "",
        parse_relay,
        "rtpengine that relays calls whose phones cannot hear each other directly",
        value="HOST:PORT",
    )
    guard_trusted: tuple[Network, ...] = setting(
        "",
        parse_networks,
        "trusted networks, never limited or banned, separated by commas",
        value="NETWORKS",
    )
    hooks_file: str = setting(
        "",
        str,
        "Python file whose functions may forward or refuse calls, and get events",
        value="FILE",
    )
    webhook_url: str = setting(
        "",
        parse_url,
        "URL that events are sent to by POST, as JSON",
        value="URL",
        mask=_mask_url,
    )
    webhook_secret: str = setting(
        "",
        str,
        "secret that signs the events of the webhook",
        value="TEXT",
        holds_password=bool,
        mask=lambda text: SECRET if text else "",
        is_shown=False,
    )
    webhook_events: tuple[str, ...] = setting(
        ",".join(EVENT_NAMES),
        parse_event_names,
        "events that are sent to -webhook.url, separated by commas",
        value="NAMES",
    )
    phone_ice: tuple[IceServer, ...] = setting(
        "",
        parse_ice_servers,
        "STUN and TURN servers for /phone: stun:HOST or turn:NAME:PASSWORD@HOST, with commas",
        value="SERVERS",
        holds_password=lambda servers: any(server.password for server in servers),
        mask=lambda text: re.sub(r":[^:@,\s]+@", f":{SECRET}@", text),
    )
    provision_secret: str = setting(
        "",
        parse_path_secret,
        "secret part of the URL where desk phones fetch their settings; empty: they cannot",
        value="TEXT",
        holds_password=bool,
        mask=lambda text: SECRET if text else "",
        is_shown=False,
    )
    trace_memory: int = setting(
        "64",
        parse_mebibytes,
        "memory for the latest SIP messages, which ladders show; 0 keeps none",
        value="MIB",
    )
    log_level: str = setting(
        "info",
        _one_of("debug", "info", "warning", "error"),
        "minimum log level: debug, info, warning or error",
        value="LEVEL",
    )
    log_format: str = setting("text", _one_of("text", "json"), "log format", value="text|json")
    config: str = setting("", str, "TOML file with settings, named like the flags", value="FILE")

    def __post_init__(self) -> None:
        pairs = {"web": (self.web_cert, self.web_key), "tls": (self.tls_cert, self.tls_key)}
        for part, (cert, key) in pairs.items():
            if bool(cert) != bool(key):
                given, missing = ("cert", "key") if cert else ("key", "cert")
                raise ConfigError(
                    f"-{part}.{given} needs -{part}.{missing} too; set both or neither"
                )
        if self.webhook_url and not self.webhook_secret:
            raise ConfigError(
                "-webhook.url needs a secret, which signs the events: set webhook.secret too, by"
                f" {PREFIX}WEBHOOK_SECRET or in the same place"
            )
        shortest, usual, longest = (
            self.sip_min_expires,
            self.sip_default_expires,
            self.sip_max_expires,
        )
        if not shortest <= usual <= longest:
            raise ConfigError(
                f"-sip.default_expires {usual} must be between -sip.min_expires {shortest}"
                f" and -sip.max_expires {longest}"
            )

    @property
    def sip_certificate(self) -> tuple[str, str] | None:
        """The files of the certificate and the key for SIP over TLS; None: there is no TLS."""
        return self.any_certificate if self.tls_addr else None

    @property
    def any_certificate(self) -> tuple[str, str] | None:
        """The files of the certificate and the key for SIP, over TLS and WebSocket, if any."""
        if self.tls_cert:
            return self.tls_cert, self.tls_key
        return (self.web_cert, self.web_key) if self.web_cert else None


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting with all its names."""

    attribute: str
    default: str
    parse: Callable[[str], object]
    meaning: str
    value: str
    also: Mapping[str, str]
    holds_password: Callable[[Any], bool]
    mask: Callable[[str], str]

    @property
    def name(self) -> str:
        """Dotted name: the flag without its dash, and the entry in a settings file."""
        return self.attribute.replace("_", ".", 1)

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return PREFIX + self.attribute.upper()

    def in_environment(self, environment: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the name and value of the first variable that is set, or None.

        An empty variable counts as not set, because Compose files write empty variables.
        """
        for variable, pattern in {self.variable: "{}", **self.also}.items():
            if text := environment.get(variable):
                return variable, pattern.format(text)
        return None


SETTINGS: Mapping[str, Setting] = {
    entry.name: entry for entry in (Setting(f.name, **f.metadata) for f in fields(Config))
}


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the names of variables that begin with our prefix but are not settings."""
    known = known_variables()
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def known_variables() -> frozenset[str]:
    """Return the names of all environment variables that the server reads as its own."""
    return OTHER_VARIABLES | {entry.variable for entry in SETTINGS.values()}
