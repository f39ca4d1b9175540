"""Certificates of an authority that is made for one test: EC keys, in PEM files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

CA_FILE = "ca.pem"


class Certificates:
    """An authority with its own certificate in `ca`, and certificates that it issues."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.authority = trustme.CA()
        self.ca = home / CA_FILE
        self.authority.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, *names: str, days: float = 30) -> tuple[Path, Path]:
        """Issue a certificate for names or addresses; it replaces the files of the first one."""
        issued = self.authority.issue_cert(
            name,
            *names,
            not_after=datetime.now(UTC) + timedelta(days=days),
            not_before=datetime.now(UTC) - timedelta(days=60),
        )
        certificate, key = self.home / f"{name}.pem", self.home / f"{name}.key"
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return certificate, key

    def flags(self, name: str, *names: str, part: str = "tls") -> list[str]:
        """Return the flags of a server with a new certificate."""
        certificate, key = self.issue(name, *names)
        return [f"-{part}.cert", str(certificate), f"-{part}.key", str(key)]
