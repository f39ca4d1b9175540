"""The torture messages of RFC 4475 and RFC 5118, and the verdict that each must get."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "torture"


# The ports that the messages' topmost Vias name: answers go to the source's host and that port.
PORTS = (5060, 5050, 6050, 19823)


# Of a request that is served: challenged, or refused for what it asks, not for how it is written.
SERVED = frozenset({401, 403, 404, 407, 480})


# What the parser makes of each message, and which statuses the server may answer with.
REQUESTS = {
    # RFC 4475 §3.1.1, valid
    "wsinv": SERVED,
    "intmeth": SERVED,
    "esc01": SERVED,
    "escnull": {401},
    "esc02": SERVED - {401},  # 401 would mean that it was taken for a REGISTER
    "lwsdisp": SERVED,
    "longreq": SERVED,
    "dblreq": {401},
    "semiuri": SERVED,
    "transports": SERVED,
    "mpart01": SERVED,
    # §3.1.2, invalid where a registrar or proxy need not look, or looks later
    "ltgtruri": {400},
    "escruri": SERVED,
    "baddate": SERVED,
    # §3.2-3.4
    "badbranch": SERVED,
    "unkscm": {416},
    "novelsc": {416},
    "unksm2": {400, 404},
    "bext01": {420},
    "invut": SERVED,
    "regaut01": {401},
    "zeromf": {483},
    "cparam01": {401},
    "cparam02": {401},
    "regescrt": {401},
    "sdp01": SERVED,
    "inv2543": SERVED,
    # RFC 5118
    "ipv6-good": SERVED,
    "ipv6-bad": {400},
    "port-ambiguous": SERVED,
    "port-unambiguous": SERVED,
    "via-received-param-with-delim": SERVED,
    "via-received-param-no-delim": SERVED,
    "ipv6-in-sdp": SERVED,
    "mult-ip-in-header": SERVED,
    "mult-ip-in-sdp": SERVED,
    "ipv4-mapped-ipv6": SERVED,
    "ipv6-bug-abnf-3-colons": SERVED,
    "ipv6-correct-abnf-2-colons": SERVED,
    # §3.1.2.13: its Contact is read once the phone has authenticated
    "regbadct": {401},
}


# Requests that the parser refuses, with the status of the answer.
REFUSED = {
    "badinv01": 400,
    "clerr": 400,
    "ncl": 400,
    "scalar02": 400,
    "quotbal": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "trws": 400,
    "badaspec": 400,
    "baddn": 400,
    "badvers": 505,
    "mismatch01": 400,
    "mismatch02": 501,
    "insuf": 400,
    "multi01": 400,
    "mcl01": 400,
}


RESPONSES = {"unreason": 200, "noreason": 100, "bcast": 200}


# Responses that are discarded before a look-up of their transaction.
DROPPED = ("scalarlg", "bigcode")


def octets(name: str) -> bytes:
    (path,) = FOLDER.glob(f"rfc*/{name}.dat")
    return path.read_bytes()
