"""A baresip phone without a screen, driven through its ctrl_tcp module (JSON in netstrings)."""

import json
import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.support.certificates import CA_FILE
from tests.support.phone import Event, Phone, uri_of, user_of
from tests.support.programs import PATIENCE, end, program, start, tail, until

MODULES = Path("/usr/lib/baresip/modules")
CONTROL_PORT = 4444

# ausine plays at 48 kHz in stereo only; aubridge discards received audio.  Without
# stdio.so, which needs a stdin, baresip does not show the messages that it receives.
CONFIG = """\
net_interface {interface}
sip_listen {host}:5060
ctrl_tcp_listen {host}:{control_port}
rtp_ports 20000-29999
rtp_stats yes
call_local_timeout 120
call_max_calls 4
audio_source ausine,440
ausrc_srate 48000
ausrc_channels 2
audio_player aubridge,unheard
audio_alert aubridge,alert
ringback_disabled yes
statmode_default off
module_path {modules}
module stdio.so
module g711.so
module ausine.so
module aubridge.so
module_tmp account.so
module_app menu.so
module_app debug_cmd.so
module_app contact.so
module_app ctrl_tcp.so
"""

EVENTS = {
    "REGISTER_OK": "registered",
    "REGISTER_FAIL": "refused",
    "CALL_INCOMING": "incoming",
    "CALL_RINGING": "ringing",
    "CALL_ESTABLISHED": "talking",
    "CALL_CLOSED": "closed",
    "CALL_REMOTE_SDP": "media agreed",
    "TRANSFER": "transfer",
    "TRANSFER_FAILED": "transfer failed",
}


class Baresip(Phone):
    """One baresip with one account."""

    kind = "baresip"
    further_setup = ""  # lines of its configuration

    def __init__(self, user: str, home: Path, *setup, **options) -> None:
        super().__init__(user, home, *setup, **options)
        self.config = home / "config"
        self.config.mkdir()
        self.output = home / "output.log"
        self.shown_bytes = 0  # of its output, as far as it has been read for messages
        self.unread = b""  # of the control connection
        (self.config / "config").write_text(
            CONFIG.format(
                interface=self.machine.interface or self.address,
                host=f"[{self.address}]" if ":" in self.address else self.address,
                control_port=CONTROL_PORT,
                modules=MODULES,
            )
            + self.further_setup
        )
        (self.config / "accounts").write_text("# the account comes by a command\n")
        self._keep_contact("sip:nobody@invalid")
        self.process = start(
            [*self.machine.enter, program("baresip"), "-s", "-f", str(self.config)],
            self.output,
            stdin=subprocess.PIPE,
        )
        try:
            self.control = self._connect()
            if not self.server:
                self._do("uanew", f"<{self.uri}>;regint=0")
        except BaseException:
            end(self.process, signal.SIGKILL)
            self.process.stdin.close()
            raise

    def asks_to_register(self) -> None:
        self._do(
            "uanew",
            f"<{self.uri}>;auth_user={self.user};auth_pass={self.password}"
            f';outbound="{self.proxy}";regint=600',
        )

    def registers(self) -> None:
        self.asks_to_register()
        self.expects("registered")

    def unregisters(self) -> None:
        before = self.output.stat().st_size
        self._do("uadel", self.uri)
        # No event can tell of the answer, for the account is gone; the trace still shows it.
        answered = re.compile(rb"expires=0\b.*SIP/2\.0 200 ", re.DOTALL)
        until(lambda: answered.search(self._printed(before)), f"{self} has unregistered")

    def dials(self, to: Phone | str) -> None:
        self._do("dial", uri_of(to))

    def answers(self) -> None:
        self._do("accept")

    def refuses(self) -> None:
        self._do("hangup")  # before answering it means 486

    def hangs_up(self) -> None:
        self._do("hangup")

    def holds(self) -> None:
        self._do("hold")

    def resumes(self) -> None:
        self._do("resume")

    def transfers(self, to: Phone | str) -> None:
        self._do("transfer", uri_of(to))

    def writes(self, text: str, to: Phone | str) -> None:
        # It writes to its current contact only, and reads its contacts as the module is loaded.
        self._do("rmmod", "contact.so")
        self._keep_contact(uri_of(to))
        self._do("insmod", "contact.so")
        self._do("message", text)

    def packets(self) -> tuple[int, int]:
        report = self._do("audio_debug")
        sent = re.search(r"TX: packets=(\d+)", report)
        received = re.search(r"rcvd=(\d+)", report)
        return int(sent[1]) if sent else 0, int(received[1]) if received else 0

    def close(self) -> None:
        self.control.close()
        code = end(self.process, signal.SIGKILL)
        self.process.stdin.close()
        assert code == -signal.SIGKILL, f"{self} ended by itself, with {code}\n{self.story()}"

    def _keep_contact(self, uri: str) -> None:
        (self.config / "contacts").write_text(f"<{uri}>\n")
        (self.config / "current_contact").write_text(uri)

    def _connect(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        deadline = time.monotonic() + PATIENCE
        while True:
            control = self.machine.socket(family, socket.SOCK_STREAM)
            control.settimeout(PATIENCE)
            try:
                control.connect((self.address, CONTROL_PORT))
                return control
            except OSError:
                control.close()
                alive = self.process.poll() is None and time.monotonic() < deadline
                assert alive, f"baresip did not start:\n{tail(self.output)}"
                time.sleep(0.02)

    def _do(self, command: str, parameters: str = "") -> str:
        """Give a command and return what baresip says to it."""
        order = json.dumps({"command": command, "params": parameters, "token": command}).encode()
        self.control.sendall(b"%d:%s," % (len(order), order))
        answer = self._answer_to(command)
        assert answer["ok"], f"{self} refuses {command}: {answer['data']}\n{self.story()}"
        return answer["data"]

    def _listen(self, seconds: float) -> list[Event]:
        events = []
        for message in self._messages(seconds):
            if message.get("response"):
                self.answered.append(message)
            elif name := EVENTS.get(message["type"]):
                words = message.get("param", "")
                status = int(words[:3]) if re.match(r"[1-6]\d\d\b", words) else None
                events.append(Event(name, user_of(message.get("peeruri", "")), status, words))
        return events + self._shown()

    def _shown(self) -> list[Event]:
        """The text that it has printed for its user since the last call."""
        fresh = self._printed(self.shown_bytes)
        fresh = fresh[: fresh.rfind(b"\n") + 1]
        self.shown_bytes += len(fresh)
        events = []
        for line in fresh.decode(errors="replace").splitlines():
            if said := re.match(r'\r?(sips?:\S+): "(.*)"$', line):
                events.append(Event("message", user_of(said[1]), text=said[2]))
            elif refused := re.match(r"\x1b\[31m(\d{3}) ", line):
                events.append(Event("message refused", status=int(refused[1])))
            elif closed := re.match(r"mwi: subscription for .* closed: .*\((\d{3}) ", line):
                events.append(Event("mailbox refused", status=int(closed[1])))
        return events

    def _printed(self, start: int) -> bytes:
        """Its output, trace of the messages included, from the byte `start` on."""
        with self.output.open("rb") as file:
            file.seek(start)
            return file.read()

    def _messages(self, seconds: float) -> list[dict]:
        """The JSON objects that arrive within `seconds`; none when nothing does."""
        if not select.select([self.control], [], [], seconds)[0]:
            return []
        fresh = self.control.recv(65536)
        assert fresh, f"{self} has ended, code {self.process.poll()}\n{tail(self.output)}"
        self.unread += fresh
        messages = []
        while b":" in self.unread:
            length, _, rest = self.unread.partition(b":")
            if len(rest) <= int(length):  # the comma is missing at least
                break
            messages.append(json.loads(rest[: int(length)]))
            self.unread = rest[int(length) + 1 :]
        return messages

    def _log(self) -> str:
        return tail(self.output, 120)


class BaresipTcp(Baresip):
    kind = "baresip on TCP"
    transport = "tcp"


class BaresipTls(Baresip):
    """A baresip that trusts the authority of `Certificates`, in the folder above its own."""

    kind = "baresip on TLS"
    transport = "tls"

    @property
    def further_setup(self) -> str:
        return f"sip_cafile {self.home.parent / CA_FILE}\nsip_verify_server yes\n"


class BaresipWithMailbox(Baresip):
    """A baresip that subscribes to its own address for news of its mailbox (RFC 3842)."""

    kind = "baresip with a mailbox"
    further_setup = "module_app mwi.so\n"
