"""The settings of an account as files that phones read.

Linphone reads XML by its schema lpconfig.xsd; Yealink a file of `name = value`; Grandstream and
Snom XML of their own.  A parameter that a file lacks keeps its value in the phone: so a file
without a password leaves the phone the one that it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from sip.transport.transport_names import DEFAULT_PORT
from webadmin.phone_settings import PhoneSettings

# Seconds of a registration that a phone asks for.
_EXPIRES = 3600
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class _Transport(NamedTuple):
    """A transport: its number in files of Yealink and Grandstream, its parameter in those of Snom.

    The parameter is that of a SIP URI, "" for the default.
    """

    number: int
    parameter: str


_TRANSPORTS = {"udp": _Transport(0, ""), "tcp": _Transport(1, ";transport=tcp")}


@dataclass(frozen=True, slots=True)
class PhoneAccount:
    """An account for a phone; `password` is "" if the phone keeps the one that it has."""

    settings: PhoneSettings
    display_name: str
    transport: str  # "udp" or "tcp"
    password: str = ""

    @property
    def server(self) -> tuple[str, int]:
        """The host and the port that the phone registers at, without the outbound proxy."""
        return _host_and_port(self.settings.domain)

    @property
    def proxy(self) -> tuple[str, int] | None:
        """The host and the port of the outbound proxy, None if there is none."""
        return _host_and_port(self.settings.proxy) if self.settings.proxy else None

    @property
    def name(self) -> str:
        """The name to show on the phone."""
        return self.display_name or self.settings.username


def linphone(account: PhoneAccount, ha1s: Mapping[str, str]) -> str:
    """Return the remote provisioning of Linphone: one account, with its HA1 by algorithm."""
    settings = account.settings
    route = f"<sip:{settings.proxy or settings.domain};transport={account.transport}>"
    identity = settings.address
    if account.display_name:
        name = account.display_name.replace("\\", "\\\\").replace('"', '\\"')
        identity = f'"{name}" <{settings.address}>'
    sections: dict[str, dict[str, object]] = {
        "sip": {"default_proxy": 0},
        "proxy_0": {
            "reg_proxy": route,
            "reg_route": route if settings.proxy else "",
            "reg_identity": identity,
            "reg_expires": _EXPIRES,
            "reg_sendregister": 1,
            "publish": 0,
        },
    }
    for number, (algorithm, ha1) in enumerate(ha1s.items()):
        sections[f"auth_info_{number}"] = {
            "username": settings.username,
            "ha1": ha1,
            "realm": settings.realm,
            "domain": account.server[0],
            "algorithm": algorithm,
        }
    parts = [_HEAD, '<config xmlns="http://www.linphone.org/xsds/lpconfig.xsd">\n']
    for title, entries in sections.items():
        parts.append(f'  <section name="{title}">\n')
        for name, value in entries.items():
            text = escape(str(value))
            parts.append(f'    <entry name="{name}" overwrite="true">{text}</entry>\n')
        parts.append("  </section>\n")
    return "".join([*parts, "</config>\n"])


def yealink(account: PhoneAccount) -> str:
    """Return the file MAC.cfg of a Yealink phone."""
    host, port = account.server
    values: dict[str, object] = {
        "enable": 1,
        "label": account.name,
        "display_name": account.name,
        "user_name": account.settings.username,
        "auth_name": account.settings.username,
        "sip_server.1.address": host,
        "sip_server.1.port": port,
        "sip_server.1.transport_type": _TRANSPORTS[account.transport].number,
        "sip_server.1.expires": _EXPIRES,
        "outbound_proxy_enable": 1 if account.proxy else 0,
    }
    if account.proxy:
        values["outbound_proxy.1.address"], values["outbound_proxy.1.port"] = account.proxy
    if account.password:
        values["password"] = account.password
    lines = [f"account.1.{name} = {_one_line(value)}" for name, value in values.items()]
    return "\n".join(["#!version:1.0.0.1", *lines, ""])


def grandstream(account: PhoneAccount, mac: str) -> str:
    """Return the file cfgMAC.xml of a Grandstream phone."""
    settings = account.settings
    values: dict[str, object] = {
        "P271": 1,  # the account is active
        "P270": account.name,
        "P3": account.name,
        "P47": settings.domain,
        "P48": settings.proxy,
        "P35": settings.username,
        "P36": settings.username,
        "P130": _TRANSPORTS[account.transport].number,
        "P32": _EXPIRES // 60,
    }
    if account.password:
        values["P34"] = account.password
    lines = "".join(f"    <{name}>{escape(str(text))}</{name}>\n" for name, text in values.items())
    return (
        f'{_HEAD}<gs_provision version="1">\n  <mac>{mac}</mac>\n'
        f'  <config version="1">\n{lines}  </config>\n</gs_provision>\n'
    )


def snom(account: PhoneAccount) -> str:
    """Return the settings of a Snom phone."""
    settings = account.settings
    end = _TRANSPORTS[account.transport].parameter
    values: dict[str, object] = {
        "user_active": "on",
        "user_realname": account.name,
        "user_name": settings.username,
        "user_pname": settings.username,
        "user_host": settings.domain,
        "user_outbound": f"{settings.proxy or settings.domain}{end}",
        "user_expiry": _EXPIRES,
    }
    if account.password:
        values["user_pass"] = account.password
    lines = "".join(
        f"    <{name} idx={quoteattr('1')} perm={quoteattr('')}>{escape(str(text))}</{name}>\n"
        for name, text in values.items()
    )
    return f"{_HEAD}<settings>\n  <phone-settings>\n{lines}  </phone-settings>\n</settings>\n"


def baresip_line(settings: PhoneSettings, password: str, transport: str) -> str:
    """Return the line of an account in the file `accounts` of baresip."""
    # A `;` or `>` within the address would end it (RFC 3261 §25.1 allows `;` in a user part).
    user = quote(settings.username, safe="-_.!~*'()&=+$,")
    outbound = f';outbound="sip:{settings.proxy};transport={transport}"' if settings.proxy else ""
    return (
        f"<sip:{user}@{settings.domain};transport={transport}>"
        f";auth_user={settings.username};auth_pass={password}{outbound}"
    )


def _host_and_port(text: str) -> tuple[str, int]:
    """Return the host without brackets, and the port, of `host`, `host:port` or `[IPv6]:port`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or host.endswith(":") or (":" in host and "[" not in host):
        host, port = text, str(DEFAULT_PORT)
    return host.removeprefix("[").removesuffix("]"), int(port)


def _one_line(value: object) -> str:
    return " ".join(str(value).split())
