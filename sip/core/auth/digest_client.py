"""Answers to the digest challenge of a gateway (RFC 3261 §22.2, RFC 8760 §2.4)."""

from collections.abc import Iterator
from typing import NamedTuple

from sip.core.auth.digest import ALGORITHMS, Answer, expected_response, ha1_of
from sip.core.trunk import Trunk
from sip.message.grammar import BadMessage, quote
from sip.message.headers import parse_credentials
from sip.message.message import Response


class Challenge(NamedTuple):
    """A digest challenge of a gateway that we can answer."""

    is_from_proxy: bool
    params: dict[str, str]

    @property
    def is_stale(self) -> bool:
        """Return True if only the nonce was too old (RFC 7616 §3.3)."""
        return self.params.get("stale", "").lower() == "true"

    def answer(self, trunk: Trunk, method: str, uri: str, cnonce: str) -> tuple[str, str]:
        """Return the name and line of the header field with our credentials for `uri`."""
        params = self.params
        algorithm = params.get("algorithm", "MD5").upper()
        given = Answer(
            algorithm=algorithm,
            username=trunk.username,
            realm=params.get("realm", ""),
            nonce=params.get("nonce", ""),
            uri=uri,
            response="",
            qop="auth" if "qop" in params else "",
            count="00000001",
            cnonce=cnonce,
        )
        ha1 = ha1_of(algorithm, given.username, given.realm, trunk.password)
        said = [
            f"username={quote(given.username)}",
            f"realm={quote(given.realm)}",
            f"nonce={quote(given.nonce)}",
            f"uri={quote(uri)}",
            f'response="{expected_response(ha1, method, given)}"',
        ]
        if "algorithm" in params:
            said.append(f"algorithm={algorithm}")
        if "opaque" in params:
            said.append(f"opaque={quote(params['opaque'])}")
        if given.qop:
            said += ["qop=auth", f"nc={given.count}", f'cnonce="{cnonce}"']
        name = "Proxy-Authorization" if self.is_from_proxy else "Authorization"
        return name.lower(), f"{name}: Digest {', '.join(said)}"


def challenges_in(response: Response) -> Iterator[Challenge]:
    """Yield the challenges of a 401 or 407 that we can answer, in order (RFC 8760 §2.4)."""
    is_from_proxy = response.status == 407
    for field_value in response.fields(
        "proxy-authenticate" if is_from_proxy else "www-authenticate"
    ):
        try:
            challenge = parse_credentials(field_value)
        except BadMessage:
            continue
        params = challenge.params
        qops = params.get("qop", "auth").lower().replace(" ", "").split(",")
        algorithm = params.get("algorithm", "MD5").upper()
        is_known = challenge.scheme == "digest" and algorithm in ALGORITHMS and "auth" in qops
        if is_known and {"realm", "nonce"} <= params.keys():
            yield Challenge(is_from_proxy, params)
