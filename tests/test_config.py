"""The settings: precedence of their sources, valid values, and error messages."""

from dataclasses import fields

import pytest

from sip.addresses import Address, Advertised, parse_address
from sip.config import SETTINGS, Config, ConfigError, unknown_variables
from sip.setting_sources import gather
from tests.support.cases import cases


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "sip.toml"
        path.write_text(text)
        return {"config": str(path)}

    return write


def test_it_needs_no_flag_and_no_file():
    config = gather({}, {})
    assert config == Config()
    assert config.sip_addr == Address(None, 5060)
    assert config.web_addr == Address(None, 8080)
    assert config.db_path == "sip_users.db"
    assert config.sip_realm == "go-sip-server"
    assert config.sip_digest == ("MD5", "SHA-256")


def test_a_flag_beats_the_environment_which_beats_the_file(toml):
    flags = toml('[sip]\nrealm = "file"\nmin_expires = 61\naddr = ":5061"')
    environment = {"SIPSERVER_SIP_REALM": "environment", "SIPSERVER_SIP_MIN_EXPIRES": "62"}
    config = gather(flags | {"sip.realm": "flag"}, environment)
    assert (config.sip_realm, config.sip_min_expires) == ("flag", 62)
    assert config.sip_addr.port == 5061


def test_platform_variables_come_after_our_own():
    both = {"PORT": "9000", "DATABASE_URL": "sqlite:////var/lib/sip.db"}
    config = gather({}, both)
    assert config.web_addr == Address(None, 9000)
    assert config.db_path == "/var/lib/sip.db"
    ours = {"SIPSERVER_WEB_ADDR": "127.0.0.1:1", "SIPSERVER_DB_PATH": "x.db"}
    config = gather({}, both | ours)
    assert (str(config.web_addr), config.db_path) == ("127.0.0.1:1", "x.db")


def test_an_empty_variable_is_none():
    assert gather({}, {"SIPSERVER_SIP_ADDR": "", "PORT": ""}) == Config()


def test_a_file_may_nest_its_tables_or_write_dotted_names(toml):
    nested = toml('[sip]\ndomains = ["a.example", "b.example"]\ncalls_from_outside = false')
    config = gather(nested, {})
    assert config.sip_domains == ("a.example", "b.example")
    assert config.sip_calls_from_outside is False
    assert gather(toml('"sip.max_expires" = 9000'), {}).sip_max_expires == 9000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[sip]\nadr = ":1"', "sets sip.adr, which is not a setting; did you mean sip.addr?"),
        ('config = "x"', "sets config, which is not a setting"),
        ('"sip.realm" = "a"\n[sip]\nrealm = "b"', "sets sip.realm twice"),
        ("[sip]\nmin_expires = 1.5", "wrong type"),
        ("[sip]\naddr = 5060", "sip.addr in .*: '5060' is not an address"),
        ("[sip", "is not a TOML file"),
    ],
)
def test_a_file_that_says_something_else_is_refused(toml, text, reason):
    with pytest.raises(ConfigError, match=reason) as refusal:
        gather(toml(text), {})
    assert refusal.value.status == 2


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read the settings file .*none\.toml"):
        gather({"config": str(tmp_path / "none.toml")}, {})


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":5060", Address(None, 5060)),
        ("127.0.0.1:5060", Address("127.0.0.1", 5060)),
        ("localhost:0", Address("127.0.0.1", 0)),
        ("[::1]:5060", Address("::1", 5060)),
        ("[2001:DB8::0:1]:65535", Address("2001:db8::1", 65535)),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@cases(
    "text",
    ["", ":", "5060", ":65536", ":-1", ":٣", "::1:5060", "[::1]", "[1.2.3.4]:1", "a b:1", "[::1:1",
     "300.1.1.1:5060", "[::1]x:5060"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_sentence(text):
    with pytest.raises(ConfigError, match="is not an address; write it like :5060") as refusal:
        gather({"sip.addr": text}, {})
    assert str(refusal.value).startswith("-sip.addr: ")
    assert refusal.value.status == 2


def test_what_is_advertised_may_lack_the_port_or_everything():
    def advertised(text):
        return gather({"sip.advertise": text}, {}).sip_advertise

    assert advertised("") is None
    assert advertised("sip.example.com") == Advertised("sip.example.com", None)
    assert advertised("[2001:db8::1]:5070") == Advertised("2001:db8::1", 5070)
    assert str(advertised("192.0.2.1:5070")) == "192.0.2.1:5070"
    for wrong in ("a b", "host:", "host:x", "[::1", "-"):
        with pytest.raises(ConfigError):
            advertised(wrong)


@pytest.mark.parametrize("text", ["postgres://u:secret@h/d", "mysql+pymysql://u:secret@h/d"])
def test_an_unsupported_database_url_hides_its_password(text):
    with pytest.raises(ConfigError, match="are not supported yet") as refusal:
        gather({}, {"DATABASE_URL": text})
    assert refusal.value.status == 1
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", ":memory:", "sqlite://", "sqlite:///", "sqlite:///a?b=c"])
def test_an_in_memory_database_is_refused(text):
    with pytest.raises(ConfigError):
        gather({"db.path": text}, {})


def test_name_servers_are_addresses_with_a_port_perhaps():
    config = gather({"sip.dns": "192.0.2.53, 127.0.0.1:5353,[::1]:5353, 2001:db8::53,"}, {})
    assert config.sip_dns == (
        ("192.0.2.53", 53),
        ("127.0.0.1", 5353),
        ("::1", 5353),
        ("2001:db8::53", 53),
    )
    assert gather({}, {}).sip_dns == ()


def test_a_media_relay_is_a_host_with_a_port():
    for text in ("192.0.2.9:2223", "relay.example.net:22222", "[::1]:2223"):
        host, _, port = text.rpartition(":")
        config = gather({"media.rtpengine": text}, {})
        assert config.media_rtpengine == (host.strip("[]"), int(port))
    assert gather({}, {}).media_rtpengine is None
    for text in ("192.0.2.9", "relay:0", "relay:x", ":2223", "a b:1"):
        with pytest.raises(ConfigError, match=r"write it like 127\.0\.0\.1:2223"):
            gather({"media.rtpengine": text}, {})


def test_a_trunk_password_is_not_read_from_a_flag(toml):
    """Every user of the machine can read what a process was started with."""
    text = "0=sip:me:hush@gw.example.net,1=sip:192.0.2.9"
    with pytest.raises(ConfigError, match=r"^-sip\.trunk: .* SIPSERVER_SIP_TRUNK") as error:
        gather({"sip.trunk": text}, {})
    assert "hush" not in str(error.value)
    for config in (
        gather({}, {"SIPSERVER_SIP_TRUNK": text}),
        gather(toml('[sip]\ntrunk = ["0=sip:me:hush@gw.example.net", "1=sip:192.0.2.9"]'), {}),
    ):
        assert [trunk.password for trunk in config.sip_trunk] == ["hush", ""]
        assert "hush" not in repr(config)
    assert gather({"sip.trunk": "1=sip:192.0.2.9"}, {}).sip_trunk[0].matches("112")


def test_a_webhook_needs_a_secret_which_is_not_in_a_flag(toml):
    url = "https://example.com/sip"
    with pytest.raises(ConfigError, match="SIPSERVER_WEBHOOK_SECRET") as error:
        gather({"webhook.url": url, "webhook.secret": "hush"}, {})
    assert "hush" not in str(error.value)
    with pytest.raises(ConfigError, match="SIPSERVER_WEBHOOK_SECRET"):
        gather({"webhook.url": url}, {})
    for config in (
        gather({"webhook.url": url}, {"SIPSERVER_WEBHOOK_SECRET": "hush"}),
        gather(
            {}, {"SIPSERVER_CONFIG": toml(f'[webhook]\nurl = "{url}"\nsecret = "hush"')["config"]}
        ),
    ):
        assert (config.webhook_url, config.webhook_secret) == (url, "hush")
        assert "hush" not in repr(config)


def test_the_events_of_a_webhook_are_chosen_by_name():
    assert gather({}, {}).webhook_events[0] == "registered"
    assert gather({"webhook.events": " banned, call.ended,"}, {}).webhook_events == (
        "banned",
        "call.ended",
    )
    with pytest.raises(ConfigError, match=r"did you mean call\.started"):
        gather({"webhook.events": "call.startet"}, {})


def test_the_lengths_of_registrations_must_be_in_order():
    with pytest.raises(ConfigError, match=r"-sip\.default_expires 3600 must be between"):
        gather({"sip.min_expires": "3601"}, {})
    assert gather({"sip.min_expires": "3600", "sip.max_expires": "3600"}, {})


@cases(
    ("name", "text"),
    [
        ("sip.min_expires", "0"),
        ("sip.max_expires", "4294967296"),
        ("calls.keep", "3651"),
        ("calls.keep", "-1"),
        ("calls.keep", "a week"),
        ("calls.keep_rows", "1e6"),
        ("sip.keepalive", "3601"),
        ("sip.keepalive", "-1"),
        ("sip.keepalive", "never"),
        ("sip.digest", "SHA-1"),
        ("sip.digest", ""),
        ("sip.domains", "a_b"),
        ("sip.dns", "ns.example.com"),
        ("sip.dns", "192.0.2.53:dns"),
        ("sip.dns", "192.0.2.53:0"),
        ("sip.realm", ""),
        ("sip.realm", 'a"b'),
        ("sip.calls_from_outside", "perhaps"),
        *(("rtp.ports", text) for text in ("10000", "80-90", "20000-10000", "10000-10000", "9-x")),
        ("rtp.ports", "10001-10002"),  # no even port with the next one
        ("rtp.ports", "10000-65536"),
        ("log.level", "loud"),
        ("log.format", "xml"),
        ("web.metrics_open", "perhaps"),
        *(("web.proxies", text) for text in ("nginx", "127.0.0.1:8080", "10.0.0.0/8,::/0")),
        ("webhook.url", "example.com/path"),
        ("webhook.url", "ftp://example.com/"),
        ("webhook.url", "https:///path"),
        ("webhook.url", "https://example.com:0/"),
        ("webhook.url", "https://example.com:x/"),
        ("webhook.url", "https://a_b/"),
        ("webhook.url", "https://[::g]/"),
        ("webhook.url", "https://user:secret@example.com/"),
        ("webhook.url", "https://example.com/a b"),
        ("webhook.url", "https://example.com/\r\nHost: x"),
        ("webhook.events", "call.startet"),
    ],
)
def test_a_value_out_of_range_names_its_flag(name, text):
    with pytest.raises(ConfigError, match=f"^-{name}: "):
        gather({name: text}, {})


@cases(
    ("text", "value"),
    [
        *((text, True) for text in ("on", "TRUE", "1", "yes")),
        *((text, False) for text in ("off", "False", "0", "no")),
    ],
)
def test_switches(text, value):
    assert gather({"sip.calls_from_outside": text}, {}).sip_calls_from_outside is value


def test_unknown_variables_of_ours_are_found():
    environment = {
        "SIPSERVER_SIP_ADR": "x",
        "SIPSERVER_SIP_ADDR": ":5060",
        "SIPSERVER_ADMIN_PASSWORD": "x",
        "PATH": "/bin",
    }
    assert unknown_variables(environment) == ["SIPSERVER_SIP_ADR"]


def test_every_default_is_what_its_text_says():
    for entry in SETTINGS.values():
        assert getattr(Config(), entry.attribute) == entry.parse(entry.default)
        assert entry.meaning


def test_a_bad_keepalive_says_that_0_is_allowed():
    with pytest.raises(ConfigError, match="whole number of seconds, or 0 for never"):
        gather({"sip.keepalive": "soon"}, {})


def test_numbers_of_the_history_may_be_written_in_groups():
    config = gather({"calls.keep": "0", "calls.keep_rows": "2,000,000"}, {})
    assert (config.calls_keep, config.calls_keep_rows) == (0, 2_000_000)


def test_a_value_that_is_a_secret_is_masked_wherever_it_is_shown():
    secret = {field.name.replace("_", ".", 1) for field in fields(Config) if not field.repr}
    assert secret == {"webhook.secret", "provision.secret"}
    for name in secret:
        assert (SETTINGS[name].mask("hush"), SETTINGS[name].mask("")) == ("***", "")
