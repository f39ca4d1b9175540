"""The files of each maker: well-formed, complete, and safe for any name."""

from xml.etree import ElementTree

import pytest

from webadmin.phone_settings import PhoneSettings
from webadmin.provisioning.files import (
    PhoneAccount,
    baresip_line,
    grandstream,
    linphone,
    snom,
    yealink,
)

NAME = 'Ann "A" <&> \\'
MAC = "001565aabbcc"
LINPHONE = "{http://www.linphone.org/xsds/lpconfig.xsd}"


def account(password="k7mq.x2hf", domain="pbx.test:5070", proxy=""):
    address = f"sip:ann@{domain}"
    settings = PhoneSettings("ann", domain, proxy, "example.com", address, "UDP or TCP")
    return PhoneAccount(settings, NAME, "tcp", password)


def test_linphone_gets_one_account_with_its_ha1s():
    root = ElementTree.fromstring(linphone(account(), {"MD5": "aa", "SHA-256": "bb"}))
    entries = {
        f"{section.get('name')}.{entry.get('name')}": entry.text
        for section in root.iter(f"{LINPHONE}section")
        for entry in section
    }
    assert entries["proxy_0.reg_proxy"] == "<sip:pbx.test:5070;transport=tcp>"
    assert entries["proxy_0.reg_identity"] == '"Ann \\"A\\" <&> \\\\" <sip:ann@pbx.test:5070>'
    assert entries["auth_info_0.ha1"] == "aa"
    assert entries["auth_info_1.ha1"] == "bb"
    assert entries["auth_info_1.algorithm"] == "SHA-256"
    assert entries["auth_info_0.realm"] == "example.com"
    assert "k7mq" not in linphone(account(), {"MD5": "aa"})


def test_desk_phones_get_server_name_and_password():
    lines = dict(line.split(" = ", 1) for line in yealink(account()).splitlines() if " = " in line)
    assert lines["account.1.sip_server.1.address"] == "pbx.test"
    assert lines["account.1.sip_server.1.port"] == "5070"
    assert lines["account.1.sip_server.1.transport_type"] == "1"
    assert lines["account.1.password"] == "k7mq.x2hf"
    root = ElementTree.fromstring(grandstream(account(), MAC))
    assert root.findtext("mac") == MAC
    assert root.findtext("config/P47") == "pbx.test:5070"
    assert root.findtext("config/P3") == NAME
    assert root.findtext("config/P34") == "k7mq.x2hf"
    root = ElementTree.fromstring(snom(account()))
    assert root.findtext("phone-settings/user_pass") == "k7mq.x2hf"
    assert root.find("phone-settings/user_name").get("idx") == "1"


@pytest.mark.parametrize("make", [yealink, lambda each: grandstream(each, MAC), snom])
def test_without_a_password_the_phone_keeps_its_own(make):
    text = make(account(password=""))
    assert "ann" in text
    assert not any(name in text for name in ("account.1.password", "P34", "user_pass"))


@pytest.mark.parametrize(
    ("domain", "host", "port"),
    [
        ("pbx.test", "pbx.test", 5060),
        ("[2001:db8::1]:5070", "2001:db8::1", 5070),
        ("[2001:db8::1]", "2001:db8::1", 5060),
        ("192.0.2.1:5080", "192.0.2.1", 5080),
    ],
)
def test_host_and_port_are_told_apart(domain, host, port):
    assert account(domain=domain).server == (host, port)


def test_users_of_another_realm_get_an_outbound_proxy():
    other = account(domain="b.test", proxy="pbx.test:5070")
    assert "account.1.outbound_proxy.1.address = pbx.test\n" in yealink(other)
    assert "<sip:pbx.test:5070;transport=tcp>" in linphone(other, {}).replace("&lt;", "<").replace(
        "&gt;", ">"
    )
    line = baresip_line(other.settings, "secret", "tcp")
    assert line == (
        "<sip:ann@b.test;transport=tcp>;auth_user=ann;auth_pass=secret"
        ';outbound="sip:pbx.test:5070;transport=tcp"'
    )
