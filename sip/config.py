"""The settings: what can be set, by which names, and what each value means.

The fields of `Config` are the table.  Flags, environment names, file entries and the text of
`-help` are all made from it, so a new setting is one new field here and nothing elsewhere.
"""

# ruff: noqa: RUF009 -- `setting` makes a dataclass field, it is no default value

import ipaddress
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sip.core.trunk import Trunk, parse_trunks
from sip.operator_values import Network, parse_networks, parse_switch
from sip.suggestions import nearest

PREFIX = "SIPSERVER_"

# Names that belong to us without being settings: no flag may carry a password past `ps`.
OTHER_VARIABLES = frozenset({"SIPSERVER_ADMIN_PASSWORD"})

DIGESTS = ("MD5", "SHA-256", "SHA-512-256")

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)


class CommandError(Exception):
    """What could not be done.  Its text is a sentence for the operator, `status` the exit code."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


class ConfigError(CommandError):
    """A setting that cannot be used."""

    def __init__(self, sentence: str, status: int = 2) -> None:
        super().__init__(sentence, status)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; a host of None means every IPv4 and every IPv6 address of the machine."""

    host: str | None
    port: int

    def __str__(self) -> str:
        return host_port(self.host or "", self.port)

    @property
    def is_loopback(self) -> bool:
        """Tell whether nobody gets there from another machine."""
        return self.host is not None and ipaddress.ip_address(self.host).is_loopback


@dataclass(frozen=True, slots=True)
class Advertised:
    """What we call ourselves in Via and Record-Route; without a port, the one we listen on."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return host_port(self.host, self.port)


def host_port(host: str, port: int | None) -> str:
    """Write host and port the way a SIP URI does, IPv6 in brackets."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def _split(text: str) -> tuple[str, str]:
    """Part `host:port` at the colon that no IPv6 address owns; either side may be empty."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError(text)
        return host, rest[1:]
    host, _, port = text.partition(":")
    return host, port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise ValueError(text)
    return int(text)


def parse_address(text: str) -> Address:
    """Read `:5060`, `127.0.0.1:5060` or `[::1]:5060`; port 0 lets the system choose one."""
    try:
        host, port = _split(text)
        if host == "localhost":
            host = "127.0.0.1"
        listening = str(ipaddress.ip_address(host)) if host else None
        if (":" in host) != text.startswith("["):
            raise ValueError(text)
        return Address(listening, _port(port))
    except ValueError:
        raise ValueError(
            f"{text!r} is no address; write it like :5060, 127.0.0.1:5060 or [::1]:5060"
        ) from None


def parse_advertised(text: str) -> Advertised | None:
    """Read `host` or `host:port`, where nothing at all means: the address that was asked."""
    if not text:
        return None
    try:
        host, port = _split(text)
        if ":" in host:
            ipaddress.IPv6Address(host)
        elif not _HOST_NAME.fullmatch(host):
            raise ValueError(text)
        return Advertised(host, _port(port) if port or text.endswith(":") else None)
    except ValueError:
        raise ValueError(
            f"{text!r} is no host with an optional port; write it like sip.example.com:5060"
        ) from None


def parse_path(text: str) -> str:
    """Read a file name, or the `sqlite:///` URL of one.

    Another scheme is refused with exit code 1, and by its name alone: the rest of a URL may
    hold a password.
    """
    url = _URL.fullmatch(text)
    if url is None:
        if not text or text == ":memory:":
            raise ValueError("accounts must outlive the process; name a file")
        if text.startswith("file:"):
            raise ValueError("name the file alone, without file: before it")
        return text
    scheme, rest = url["scheme"].lower(), url["rest"]
    if scheme.partition("+")[0] != "sqlite":
        raise ConfigError(
            f"a {scheme} database cannot be used yet; choose a file with -db.path sip_users.db", 1
        )
    if not rest.startswith("/") or rest in ("/", "/:memory:") or "?" in rest:
        raise ValueError("write the URL like sqlite:///sip_users.db or sqlite:////var/lib/sip.db")
    return rest[1:]


def parse_realm(text: str) -> str:
    """Read a realm, which must fit between quotation marks without escapes."""
    if not text or not text.isprintable() or '"' in text or "\\" in text:
        raise ValueError("a realm is a word or a host name, without quotation marks or backslashes")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no host name; write them like example.com,example.net")
    return names


def _name_servers(text: str) -> tuple[tuple[str, int], ...]:
    """Read addresses of name servers; one without a port is asked on port 53."""
    servers: list[tuple[str, int]] = []
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            bare = f"[{part}]" if part.count(":") > 1 and part[0] != "[" else part
            host, port = _split(bare)
            server = str(ipaddress.ip_address(host)), _port(port or "53")
            if server[1] == 0:
                raise ValueError(part)
            servers.append(server)
        except ValueError:
            raise ValueError(
                f"{part!r} is no address of a name server; write it like 192.0.2.53 or [::1]:5353"
            ) from None
    return tuple(servers)


def _digests(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip().upper() for name in text.split(",")))
    if not set(names) <= set(DIGESTS):
        raise ValueError(f"{text!r} must be one or more of {', '.join(DIGESTS)}")
    return names


def _seconds(text: str) -> int:
    # 2**32 - 1 is the largest Expires that RFC 3261 §20.19 can say.
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**32):
        raise ValueError(f"{text!r} is no number of seconds above 0")
    return int(text)


def _seconds_or_never(text: str) -> int:
    seconds = 0 if text == "0" else _seconds(text)
    if seconds > 3600:
        raise ValueError(f"{text} seconds are more than an hour, when every NAT has forgotten")
    return seconds


def _one_of(*words: str) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"{text!r} must be one of {', '.join(words)}")
        return text.lower()

    return choose


def setting(
    default: str,
    parse: Callable[[str], object],
    meaning: str,
    *,
    value: str,
    also: Mapping[str, str] | None = None,
    holds_password: Callable[[Any], bool] = lambda value: False,
) -> Any:
    """Describe one setting.

    `default` is text, read by the same `parse` as what an operator writes; `value` stands for
    the value in `-help` and carries its unit.  `also` names environment variables looked at
    after our own, each with the pattern that turns it into a value.  What `holds_password` is
    taken from a file or the environment alone: every user of the machine can read a flag.
    """
    return field(
        default=parse(default),
        metadata={
            "default": default,
            "parse": parse,
            "meaning": meaning,
            "value": value,
            "also": dict(also or {}),
            "holds_password": holds_password,
        },
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """One value for every setting, checked.  The field `sip_addr` is the setting `sip.addr`."""

    web_addr: Address = setting(
        ":8080",
        parse_address,
        "where the web admin listens",
        value="ADDRESS",
        also={"PORT": ":{}"},
    )
    web_cert: str = setting(
        "", str, "certificate of the web admin, and those above it, as PEM", value="FILE"
    )
    web_key: str = setting("", str, "key of that certificate, as PEM", value="FILE")
    sip_addr: Address = setting(
        ":5060", parse_address, "where SIP listens, on UDP and TCP", value="ADDRESS"
    )
    db_path: str = setting(
        "sip_users.db",
        parse_path,
        "SQLite file of accounts and registrations, or its sqlite:/// URL",
        value="FILE",
        also={"DATABASE_URL": "{}"},
    )
    sip_realm: str = setting(
        "go-sip-server",
        parse_realm,
        "digest realm, and main domain where it can be a host name",
        value="REALM",
    )
    sip_domains: tuple[str, ...] = setting(
        "", _names, "further names of the main domain, with commas between", value="NAMES"
    )
    sip_advertise: Advertised | None = setting(
        "",
        parse_advertised,
        "what this server calls itself in Via and Record-Route",
        value="HOST[:PORT]",
    )
    sip_calls_from_outside: bool = setting(
        "on", parse_switch, "let callers of other domains reach our users", value="on|off"
    )
    sip_calls_to_outside: bool = setting(
        "off", parse_switch, "let our users call addresses of other domains", value="on|off"
    )
    sip_trunk: tuple[Trunk, ...] = setting(
        "",
        parse_trunks,
        "numbers that a gateway takes, as NUMBERS=sip:[ACCOUNT:PASSWORD@]HOST, with commas between",
        value="TRUNKS",
        holds_password=lambda trunks: any(trunk.password for trunk in trunks),
    )
    sip_follow_redirects: bool = setting(
        "off",
        parse_switch,
        "ring those of our users whom a 3xx names, instead of passing it on",
        value="on|off",
    )
    sip_dns: tuple[tuple[str, int], ...] = setting(
        "",
        _name_servers,
        "name servers for next hops, with commas between, instead of those of the system",
        value="ADDRESSES",
    )
    sip_keepalive: int = setting(
        "25",
        _seconds_or_never,
        "how often a phone behind NAT on UDP is sent a few octets, "
        "so that it stays in reach; 0 is never",
        value="SECONDS",
    )
    sip_min_expires: int = setting(
        "60", _seconds, "shortest registration that is accepted", value="SECONDS"
    )
    sip_max_expires: int = setting(
        "7200", _seconds, "longest registration; a longer wish is cut to it", value="SECONDS"
    )
    sip_default_expires: int = setting(
        "3600", _seconds, "registration of a phone that states no time", value="SECONDS"
    )
    sip_digest: tuple[str, ...] = setting(
        "MD5,SHA-256",
        _digests,
        "digest algorithms in the order of the challenges, of MD5, SHA-256, SHA-512-256",
        value="NAMES",
    )
    guard_trusted: tuple[Network, ...] = setting(
        "",
        parse_networks,
        "networks that are never limited or banned, with commas between",
        value="NETWORKS",
    )
    log_level: str = setting(
        "info",
        _one_of("debug", "info", "warning", "error"),
        "least weight of a line in the log: debug, info, warning or error",
        value="LEVEL",
    )
    log_format: str = setting(
        "text", _one_of("text", "json"), "shape of a line in the log", value="text|json"
    )
    config: str = setting("", str, "TOML file with settings of the same names", value="FILE")

    def __post_init__(self) -> None:
        if bool(self.web_cert) != bool(self.web_key):
            given, missing = ("cert", "key") if self.web_cert else ("key", "cert")
            raise ConfigError(f"-web.{given} needs -web.{missing} beside it; set both or neither")
        shortest, usual, longest = (
            self.sip_min_expires,
            self.sip_default_expires,
            self.sip_max_expires,
        )
        if not shortest <= usual <= longest:
            raise ConfigError(
                f"-sip.default_expires {usual} must lie between -sip.min_expires {shortest}"
                f" and -sip.max_expires {longest}"
            )


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table, under all its names."""

    attribute: str
    default: str
    parse: Callable[[str], object]
    meaning: str
    value: str
    also: Mapping[str, str]
    holds_password: Callable[[Any], bool]

    @property
    def name(self) -> str:
        """The dotted name, which is the flag without its dash and the entry of a file."""
        return self.attribute.replace("_", ".", 1)

    @property
    def variable(self) -> str:
        """Our environment variable for it."""
        return PREFIX + self.attribute.upper()

    def in_environment(self, environment: Mapping[str, str]) -> tuple[str, str] | None:
        """Give the first variable that is set, and the value it stands for.

        An empty variable is one that is not set: compose files write those.
        """
        for variable, pattern in {self.variable: "{}", **self.also}.items():
            if text := environment.get(variable):
                return variable, pattern.format(text)
        return None


SETTINGS: Mapping[str, Setting] = {
    entry.name: entry for entry in (Setting(f.name, **f.metadata) for f in fields(Config))
}


def gather(flags: Mapping[str, str], environment: Mapping[str, str]) -> Config:
    """Make the configuration: a flag beats the environment, which beats the file.

    `flags` maps dotted names to what was written.  Raises ConfigError.
    """
    chosen: dict[str, tuple[str, str]] = {}  # dotted name: where it was set, and to what
    for name, entry in SETTINGS.items():
        if name in flags:
            chosen[name] = f"-{name}", flags[name]
        elif found := entry.in_environment(environment):
            chosen[name] = found
    if path := chosen.get("config", ("", ""))[1]:
        for name, text in read_file(path).items():
            chosen.setdefault(name, (f"{name} in {path}", text))
    values: dict[str, Any] = {}
    for name, (origin, text) in chosen.items():
        try:
            value = values[SETTINGS[name].attribute] = SETTINGS[name].parse(text)
            if name in flags and SETTINGS[name].holds_password(value):
                raise ValueError(
                    "it holds a password, and every user of this machine can read what a process is"
                    f" started with; set it in {SETTINGS[name].variable}, or in the file of -config"
                )
        except ValueError as error:
            raise ConfigError(f"{origin}: {error}") from None
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error}", error.status) from None
    return Config(**values)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Name the variables that look like ours and mean nothing, for one warning."""
    known = known_variables()
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def known_variables() -> frozenset[str]:
    """Return the environment variables that are ours."""
    return OTHER_VARIABLES | {entry.variable for entry in SETTINGS.values()}


def read_file(path: str) -> dict[str, str]:
    """Read a TOML file into dotted names and the text that a flag would have had."""
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the settings in {path}: {error.strerror}", 1) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    entries: dict[str, str] = {}
    for name, value in _flattened(document):
        if name not in SETTINGS or name == "config":
            guess = nearest(name, [known for known in SETTINGS if known != "config"])
            raise ConfigError(f"{path} sets {name}, which is no setting{guess}")
        if name in entries:
            raise ConfigError(f"{path} sets {name} twice; keep one")
        entries[name] = _as_text(path, name, value)
    return entries


def _flattened(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{above}{key}.")
        else:
            yield above + key, value


def _as_text(path: str, name: str, value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case str() | int():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(value)
    raise ConfigError(f"{path} sets {name} to a value of the wrong kind; write it as text")
