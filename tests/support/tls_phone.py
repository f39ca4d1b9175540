"""Phones on TLS in a world; the server then speaks TLS, without a certificate."""

from sip.transport.flow import Endpoint, Flow
from tests.support.fake_transport import SERVER, MemoryCarrier
from tests.support.world import REALM, TcpPhone, World

PORT = 5061
SETTINGS = {"tls_cert": "sip.pem", "tls_key": "sip.key"}


class TlsCarrier(MemoryCarrier):
    """Connections over TLS: only those that the server has opened can be opened again."""

    def __init__(self, world: World) -> None:
        super().__init__(world, 5000, "TLS")
        self.asked: list[tuple[Endpoint, str]] = []  # what was opened, and the name to prove
        self._names: dict[int, str] = {}

    def take(self, phone: "TlsPhone") -> Flow:
        return super().take(phone)._replace(local=(SERVER[0], PORT))

    def open(self, local: Endpoint, remote: Endpoint, transport: str = "", name: str = "") -> Flow:
        self.asked.append((remote, name))
        flow = super().open((local[0], PORT), remote)
        self._names[flow.connection] = name
        return flow

    def is_reachable(self, flow: Flow) -> bool:
        return self.is_open(flow) or (bool(flow.port) and flow.connection in self._names)

    def send(self, data: bytes, flow: Flow) -> Flow:
        if not self.is_reachable(flow):
            raise OSError("the connection is closed")
        if not self.is_open(flow):
            remote = flow.remote[0], flow.port
            flow = self.open(flow.local, remote, flow.transport, self._names[flow.connection])
        return super().send(data, flow)


class TlsPhone(TcpPhone):
    """A phone on TLS; with the scheme sips it registers by a sips: address."""

    transport = "TLS"

    def __init__(self, world: World, name: str, number: int, *, scheme: str = "sip") -> None:
        if "TLS" not in world.server.transports.carriers:
            world.server.transports.add_carrier("TLS", TlsCarrier(world))
        super().__init__(world, name, (f"192.0.2.{number}", 40_000 + number), PORT)
        self.scheme = scheme
        self.sent_by = self.address[0]  # it listens at the default port
        more = "" if scheme == "sips" else ";transport=tls"
        self.contact = f"<{scheme}:{name}@{self.sent_by}{more}>"
        self.aor = f"{scheme}:{name}@{REALM}"
        world.at[self.address] = self
        if (name, REALM) not in world.users.accounts:
            world.users.add(name, "secret")

    @property
    def carrier(self) -> TlsCarrier:
        carrier = self.world.server.transports.carriers["TLS"]
        assert isinstance(carrier, TlsCarrier)
        return carrier
