"""Network namespaces with routers, NAT and machines that move; or the loopback alone.

                    192.0.2.0/24, 2001:db8::/64
    ────┬──────────────┬───────────────┬────────────────┬────
      .1, ::1    .30, .36, ::30       .11              .12
      server     street, street6   home router     office router
                                    │       │            │
                             192.168.1.10  .11     192.168.1.10
                              home_desk  kitchen    office_desk

A `Mobile` is not in the picture: a test carries it from one place to another.

Each machine in it is a network namespace that a process holds (netns_holder.py); it ends with that
process.  All belong to one user namespace, so the user of the tests is root there, and only there.
"""

import socket
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

from tests.support.programs import PATIENCE, free_port_of_both, own_address, program

HOLDER = Path(__file__).with_name("netns_holder.py")
CONNTRACK = "/proc/sys/net/netfilter/nf_conntrack"
# Of each bridge, which else takes the lowest of its ports' and changes it when a cable comes or
# goes; and of a machine that is carried about: what others have learned of both stays right.
BRIDGE_MAC, MOBILE_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
M = TypeVar("M", bound="Machine")

# What a router of the cheaper kind does: all from the LAN leaves from its one address, from ports
# of its own choice; all other incoming packets are dropped silently.
MASQUERADE = """\
flush ruleset
table ip router {{
  counter datagrams_in {{ }}
  chain inwards_through {{
    type filter hook forward priority filter;
    iifname "internet" meta l4proto udp counter name datagrams_in
  }}
  chain outwards {{
    type nat hook postrouting priority srcnat;
    oifname "internet" meta l4proto {{ tcp, udp }} masquerade to :{first}-{last}
  }}
  chain inwards_to_itself {{
    type filter hook input priority filter;
    iifname "internet" drop
  }}
}}
"""


class Loopback:
    """This machine on its loopback network; every program on it gets an address of its own."""

    enter: tuple[str, ...] = ()  # what a command begins with that is to run here
    interface = ""  # that all of a phone's addresses belong to
    proc = Path("/proc/self")  # of a process that is here
    socket = staticmethod(socket.socket)

    def server_sockets(self) -> tuple[tuple[str, ...], int]:
        """Where a server may listen: all servers here share the one address."""
        return ("127.0.0.1",), free_port_of_both()

    def phone_address(self) -> str:
        return own_address()


LOOPBACK = Loopback()


class Machine:
    """A machine with a network of its own, none at first."""

    mac = ""  # of its interface; if empty, any
    interface = ""  # that it is plugged in by

    def __init__(self, *addresses: str, beside: "Machine | None" = None) -> None:
        """One that is to have `addresses`, in the user namespace of `beside` if one is given."""
        self.addresses = addresses
        self.asked, theirs = socket.socketpair()
        self.asked.settimeout(PATIENCE)
        if beside is None:
            begin = [program("unshare"), "--user", "--map-root-user", "--net"]
        else:
            begin = [*beside._enter("--user"), program("unshare"), "--net"]
        with theirs:
            self.holder = subprocess.Popen(
                [*begin, sys.executable, "-I", str(HOLDER)],
                stdin=theirs,
                stderr=subprocess.PIPE,
                text=True,
            )
        self.enter = self._enter("--user", "--net")
        self.proc = Path(f"/proc/{self.holder.pid}")
        try:
            there = self.asked.recv(16)
            assert there, (
                f"no network namespace can be made: {self.holder.stderr.read().strip()}\n"
                "Run the tests as root, or allow namespaces for all users: sysctl "
                "user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0"
            )
            self.does("ip", "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def _enter(self, *kinds: str) -> tuple[str, ...]:
        target = ("--target", str(self.holder.pid))
        return (program("nsenter"), *kinds, *target, "--preserve-credentials", "--")

    def does(self, *command: str, input: str = "") -> str:
        """Run a command here to its end, and return what it prints."""
        done = subprocess.run(
            [*self.enter, program(command[0]), *command[1:]],
            input=input,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{input}{done.stderr}"
        return done.stdout

    def sets_up(self, lines: str) -> None:
        """Do what these lines of `ip` say."""
        self.does("ip", "-batch", "-", input=lines)

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A socket of this machine."""
        self.asked.send(bytes([family, kind]))
        _, (descriptor,), _, _ = socket.recv_fds(self.asked, 16, 1)
        return socket.socket(fileno=descriptor)

    def server_sockets(self) -> tuple[tuple[str, ...], int]:
        return self.addresses, 5060

    def phone_address(self) -> str:
        return self.addresses[0]

    def plugs_into(self, switch: "Machine", bridge: str, port: str, name: str) -> None:
        """Lay a cable, called `name` here, to a `bridge` of another machine."""
        self.interface = name
        mac = f"address {self.mac} " if self.mac else ""
        switch.sets_up(
            f"link add {port} type veth peer name {name} {mac}netns {self.holder.pid}\n"
            f"link set {port} master {bridge} up\n"
        )
        lines = [_give(address, name) for address in self.addresses]
        self.sets_up("\n".join([*lines, f"link set {name} up\n"]))

    def close(self) -> None:
        self.asked.close()
        self.holder.wait(PATIENCE)
        self.holder.stderr.close()


class Router(Machine):
    """A router with a LAN, 192.168.1.0/24, behind one address of the Internet."""

    def __init__(self, address: str, internet: Machine, port: str) -> None:
        super().__init__(address, beside=internet)
        self.plugs_into(internet, "internet", port, "internet")
        self.sets_up(
            f"link add lan address {BRIDGE_MAC} type bridge\n"
            f"{_give('192.168.1.1', 'lan')}\n"
            "link set lan up\n"
        )
        self._writes("/proc/sys/net/ipv4/ip_forward", 1)
        self.takes_ports(20000)

    def takes_ports(self, first: int) -> None:
        """Let what leaves from now on have one of a hundred ports."""
        self.does("nft", "-f", "-", input=MASQUERADE.format(first=first, last=first + 99))

    def connects(self, machine: Machine, port: str) -> None:
        """Plug a machine into the LAN."""
        machine.plugs_into(self, "lan", port, "lan")
        machine.sets_up("route add default via 192.168.1.1\n")

    def forgets_after(self, seconds: int) -> None:
        """Forget a way through as soon as nothing has gone along it for so long."""
        self._writes(f"{CONNTRACK}_udp_timeout", seconds)
        self._writes(f"{CONNTRACK}_udp_timeout_stream", seconds)

    def datagrams_in(self) -> int:
        """How many have come through from the Internet."""
        counter = self.does("nft", "list", "counter", "ip", "router", "datagrams_in")
        return int(counter.split("packets ")[1].split()[0])

    def dials_in_again(self, address: str) -> None:
        """Lose the line, all ways through with it, and come back with some address."""
        self.sets_up("link set internet down\naddress flush dev internet\n")
        self.does("conntrack", "--flush")
        self.addresses = (address,)
        self.sets_up(f"{_give(address, 'internet')}\nlink set internet up\n")

    def _writes(self, setting: str, value: int) -> None:
        self.does("tee", setting, input=str(value))


class Network:
    """The Internet as drawn above; its attributes are its machines."""

    def __init__(self) -> None:
        self.machines: list[Machine] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        self.server = self._has(Machine("192.0.2.1", "2001:db8::1"))
        self.server.sets_up(
            f"link add internet address {BRIDGE_MAC} type bridge\n"
            f"{_give('192.0.2.1', 'internet')}\n"
            f"{_give('2001:db8::1', 'internet')}\n"
            "link set internet up\n"
        )
        self.home = self._has(Router("192.0.2.11", self.server, "home"))
        self.office = self._has(Router("192.0.2.12", self.server, "office"))
        self.street = self._has(Machine("192.0.2.30", beside=self.server))
        self.street.plugs_into(self.server, "internet", "street", "internet")
        self.street6 = self._has(Machine("2001:db8::30", "192.0.2.36", beside=self.server))
        self.street6.plugs_into(self.server, "internet", "street6", "internet")
        self.home_desk = self._phone(self.home, "desk", "192.168.1.10", "fd00::10")
        self.kitchen = self._phone(self.home, "kitchen", "192.168.1.11")
        self.office_desk = self._phone(self.office, "desk", "192.168.1.10")

    def _has(self, machine: M) -> M:
        self.machines.append(machine)
        return machine

    def _phone(self, router: Router, port: str, *addresses: str) -> Machine:
        phone = self._has(Machine(*addresses, beside=self.server))
        router.connects(phone, port)
        return phone

    def close(self) -> None:
        for machine in self.machines:
            machine.close()


class Mobile(Machine):
    """A machine that is carried from one place to another; at first it is nowhere."""

    mac = MOBILE_MAC

    def __init__(self, network: Network) -> None:
        super().__init__(beside=network.server)
        self.network = network

    def moves_to(self, place: str, address: str) -> None:
        """Be unplugged, and plugged in at "home", "office" or "street", with an address there."""
        self.unplugs()
        self.addresses = (address,)
        if place == "street":
            self.plugs_into(self.network.server, "internet", "mobile", "internet")
        else:
            router = {"home": self.network.home, "office": self.network.office}[place]
            router.connects(self, "mobile")

    def unplugs(self) -> None:
        """Lose the cable, and with it the address and all connections."""
        if self.interface:
            self.sets_up(f"link delete {self.interface}\n")
            self.interface = ""

    def close(self) -> None:
        self.unplugs()  # the namespace goes some time after its process: the next has to fit in
        super().close()


def _give(address: str, device: str) -> str:
    """A line for `ip`.  An address is in use once only, so it is used untried (RFC 4862 §5.4)."""
    length, untried = (64, " nodad") if ":" in address else (24, "")
    return f"address add {address}/{length} dev {device}{untried}"
