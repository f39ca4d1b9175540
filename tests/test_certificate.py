"""The expiry of a certificate, read from its file; openssl says the same."""

import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sip.certificate import expires_at, rsa_bits


def openssl(*words: str) -> str:
    done = subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)
    return done.stdout.decode()


def certificate(path: Path, days: int) -> Path:
    """Let openssl make a certificate that is valid for so many days."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    files = ("-keyout", f"{path}.key", "-out", str(path))
    openssl("req", "-x509", *curve, "-subj", "/CN=pbx.example.test", "-days", str(days), *files)
    return path


@pytest.mark.parametrize("days", [90, 13_000])  # from 2050 on, the year has four digits
def test_the_end_is_read_as_openssl_reads_it(tmp_path, days):
    file = certificate(tmp_path / "web.pem", days)
    end = openssl("x509", "-in", str(file), "-noout", "-enddate").strip()
    moment = datetime.strptime(end, "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert expires_at(str(file)) == moment.timestamp()


def test_the_first_certificate_of_a_chain_counts(tmp_path):
    first, second = certificate(tmp_path / "a.pem", 90), certificate(tmp_path / "b.pem", 900)
    chain = tmp_path / "chain.pem"
    chain.write_text(f"some text\n{first.read_text()}{second.read_text()}")
    assert expires_at(str(chain)) == expires_at(str(first))


def test_two_digits_from_50_on_are_of_the_last_century(tmp_path):
    """A certificate that has expired then; only its time is changed, and no one signs it."""
    file = certificate(tmp_path / "web.pem", 90)
    der = ssl.PEM_cert_to_DER_cert(file.read_text())
    end = datetime.fromtimestamp(expires_at(str(file)), UTC).strftime("%y%m%d%H%M%SZ").encode()
    file.write_text(ssl.DER_cert_to_PEM_cert(der.replace(end, b"991231235959Z")))
    assert datetime.fromtimestamp(expires_at(str(file)), UTC).year == 1999


def outcome(file: Path) -> str:
    """Return "a time", or why there is none."""
    try:
        expires_at(str(file))
    except (OSError, ValueError) as error:
        return str(error)
    return "a time"


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "web.pem"
    assert "No such file" in outcome(file)
    file.write_text("no certificate")
    assert outcome(file).endswith("has no certificate in PEM")
    begin, *lines, end = certificate(file, 90).read_text().splitlines()
    for count in range(len(lines)):  # cut off after each line
        file.write_text("\n".join([begin, *lines[:count], end]))
        assert outcome(file).endswith("has a certificate that cannot be read"), count


def test_the_size_of_an_rsa_key_is_read(tmp_path):
    file = tmp_path / "rsa.pem"
    files = ("-keyout", f"{file}.key", "-out", str(file))
    openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=a", *files)
    assert rsa_bits(str(file)) == 1024
    assert rsa_bits(str(certificate(tmp_path / "ec.pem", 90))) == 0
