"""The process of one pjsua2 phone: commands as JSON lines on stdin, events on stdout.

pjlib aborts the process on a broken assertion and must be called by one thread, so it has a process
to itself, and in it one thread that polls the library and stdin in turns.
"""

import json
import os
import re
import select
import sys

import pjsua2 as pj

from tests.support.phone import user_of

EVENTS = os.dup(1)  # pjlib writes its own lines to stdout before it can be told not to
os.dup2(2, 1)


def tell(**fields) -> None:
    """Write one line at once: its reader waits at a pipe."""
    os.write(EVENTS, (json.dumps(fields) + "\n").encode())


def warning_in(event: pj.SipEvent) -> str:
    """Return the text of the Warning in the response that has caused an event, "" for none."""
    state = event.body.tsxState
    if event.type != pj.PJSIP_EVENT_TSX_STATE or state.type != pj.PJSIP_EVENT_RX_MSG:
        return ""
    found = re.search(r'^Warning: \d{3} \S+ "(.*)"', state.src.rdata.wholeMsg, re.MULTILINE)
    return found[1] if found else ""


class Call(pj.Call):
    """A call that tells what becomes of it, and says a steady nothing (in full packets)."""

    def __init__(self, phone: "Phone", call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, call_id)
        self.phone = phone
        self.rings = False

    def onCallState(self, prm) -> None:
        info = self.getInfo()
        peer = user_of(info.remoteUri)
        if info.state == pj.PJSIP_INV_STATE_EARLY and info.role == pj.PJSIP_ROLE_UAC:
            if info.lastStatusCode == 180 and not self.rings:
                self.rings = True
                tell(event="ringing", peer=peer, status=180)
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            tell(event="talking", peer=peer)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            status, reason = info.lastStatusCode, info.lastReason
            tell(event="closed", peer=peer, status=status, text=reason, warning=warning_in(prm.e))
            self.phone.calls.remove(self)
            self.phone.buried.append(self)  # not to be destroyed inside its own callback

    def onCallMediaState(self, prm) -> None:
        info = self.getInfo()  # held by a name: its media are no copies
        tell(event="media agreed", peer=user_of(info.remoteUri))
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in (
                pj.PJSUA_CALL_MEDIA_ACTIVE,
                pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
            ):
                microphone = self.phone.endpoint.audDevManager().getCaptureDevMedia()
                microphone.startTransmit(self.getAudioMedia(media.index))

    def onCallTransferRequest(self, prm) -> None:
        tell(event="transfer", text=prm.dstUri)
        onward = Call(self.phone)  # reading it back from prm would give another object
        self.phone.calls.append(onward)
        prm.newCall = onward

    def onCallReplaced(self, prm) -> None:
        tell(event="replaced", peer=user_of(self.getInfo().remoteUri))
        successor = Call(self.phone, prm.newCallId)
        self.phone.calls.append(successor)
        prm.newCall = successor

    def onCallRedirected(self, prm) -> int:
        tell(event="redirected", peer=user_of(prm.targetUri), text=prm.targetUri)
        return pj.PJSIP_REDIRECT_ACCEPT

    def onInstantMessage(self, prm) -> None:
        tell(event="message", peer=user_of(prm.fromUri), text=prm.msgBody)

    def onDtmfDigit(self, prm) -> None:
        tell(event="digit", peer=user_of(self.getInfo().remoteUri), text=prm.digit)

    def onCallTransferStatus(self, prm) -> None:
        if prm.finalNotify:
            tell(event="transferred", status=prm.statusCode, text=prm.reason)
            if 200 <= prm.statusCode < 300:
                self.hangup(pj.CallOpParam())


class Account(pj.Account):
    """The account; it rings for every call."""

    def __init__(self, phone: "Phone") -> None:
        super().__init__()
        self.phone = phone

    def onRegState(self, prm) -> None:
        if prm.code // 100 != 2:
            tell(event="refused", status=prm.code, text=prm.reason)
        else:
            active = self.getInfo().regIsActive
            tell(event="registered" if active else "unregistered", status=prm.code)

    def onIncomingCall(self, prm) -> None:
        call = Call(self.phone, prm.callId)
        self.phone.calls.append(call)
        ringing = pj.CallOpParam()
        ringing.statusCode = 180
        call.answer(ringing)
        tell(event="incoming", peer=user_of(call.getInfo().remoteUri))

    def onInstantMessage(self, prm) -> None:
        tell(event="message", peer=user_of(prm.fromUri), text=prm.msgBody)

    def onInstantMessageStatus(self, prm) -> None:
        event = "message delivered" if prm.code // 100 == 2 else "message refused"
        tell(event=event, peer=user_of(prm.toUri), status=prm.code)

    def onTypingIndication(self, prm) -> None:
        tell(event="typing" if prm.isTyping else "not typing", peer=user_of(prm.fromUri))

    def onIncomingSubscribe(self, prm) -> None:
        tell(event="watched", peer=user_of(prm.fromUri))


class Buddy(pj.Buddy):
    """A buddy of the account, which it may watch."""

    def onBuddyState(self) -> None:
        info = self.getInfo()
        states = {pj.PJSIP_EVSUB_STATE_ACTIVE: "seen", pj.PJSIP_EVSUB_STATE_TERMINATED: "unseen"}
        if info.subState in states:
            note = info.presStatus.note or info.presStatus.statusText
            tell(event=states[info.subState], peer=user_of(info.uri), text=note)


class Phone:
    """The endpoint, its account, and its calls: the last one is the one that commands mean."""

    def __init__(self, setup: dict) -> None:
        self.calls: list[Call] = []
        self.buried: list[Call] = []
        self.buddies: dict[str, Buddy] = {}
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = setup["user_agent"]
        config.logConfig.filename = setup["log"]
        config.logConfig.level = 5
        config.logConfig.consoleLevel = 0
        config.medConfig.noVad = True  # silence is sent as packets too, and can be counted
        self.endpoint.libInit(config)
        self.endpoint.audDevManager().setNullDev()
        for codec in self.endpoint.codecEnum2():
            if not codec.codecId.startswith("PCM"):
                self.endpoint.codecSetPriority(codec.codecId, 0)
        transport = pj.TransportConfig()
        transport.boundAddress = setup["address"]
        transport.port = 5060
        transport.publicAddress = setup["private_address"]
        kind = getattr(pj, f"PJSIP_TRANSPORT_{setup['transport'].upper()}")
        transport_id = self.endpoint.transportCreate(kind, transport)
        self.endpoint.libStart()

        account = pj.AccountConfig()
        account.idUri = setup["uri"]
        account.sipConfig.transportId = transport_id
        account.mediaConfig.transportConfig.boundAddress = setup["address"]
        if setup["private_address"]:
            account.natConfig.viaRewriteUse = False
            account.natConfig.contactRewriteUse = False
            account.natConfig.sdpNatRewriteUse = False
        for name, value in setup["account_setup"].items():
            part, _, field = name.partition(".")
            constant = getattr(pj, value) if isinstance(value, str) else value
            setattr(getattr(account, part), field, constant)
        if "proxy" in setup:
            account.regConfig.registrarUri = "sip:" + setup["uri"].partition("@")[2]
            account.regConfig.registerOnAdd = False
            account.regConfig.timeoutSec = 600
            account.sipConfig.proxies.append(setup["proxy"])
            account.sipConfig.authCreds.append(
                pj.AuthCredInfo("digest", "*", setup["user"], 0, setup["password"])
            )
        self.settings = account
        self.account = Account(self)
        self.account.create(account)

    def run(self) -> None:
        """Poll the library and stdin until stdin ends."""
        commands = b""
        tell(event="ready")
        while True:
            self.endpoint.libHandleEvents(10)
            self.buried.clear()
            if not select.select([0], [], [], 0)[0]:
                continue
            fresh = os.read(0, 65536)
            if not fresh:
                return
            *lines, commands = (commands + fresh).split(b"\n")
            for line in lines:
                arguments = json.loads(line)
                try:
                    tell(result=getattr(self, "do_" + arguments.pop("do"))(**arguments))
                except pj.Error as error:
                    tell(error=error.info())
                except IndexError:
                    tell(error="there is no call")

    def do_register(self) -> None:
        self.account.setRegistration(True)

    def do_password(self, password: str) -> None:
        self.settings.sipConfig.authCreds[0].data = password
        self.account.modify(self.settings)

    def do_unregister(self) -> None:
        self.account.setRegistration(False)

    def do_handle_ip_change(self) -> None:
        self.endpoint.handleIpChange(pj.IpChangeParam())

    def do_call(self, to: str) -> None:
        call = Call(self)
        call.makeCall(to, pj.CallOpParam(True))
        self.calls.append(call)

    def do_answer(self, status: int) -> None:
        answer = pj.CallOpParam()
        answer.statusCode = status
        self.calls[-1].answer(answer)

    def do_hangup(self) -> None:
        self.calls[-1].hangup(pj.CallOpParam())

    def do_hold(self) -> None:
        self.calls[-1].setHold(pj.CallOpParam())

    def do_resume(self) -> None:
        resume = pj.CallOpParam(True)
        resume.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.calls[-1].reinvite(resume)

    def do_transfer(self, to: str) -> None:
        self.calls[-1].xfer(to, pj.CallOpParam(True))

    def do_update(self) -> None:
        self.calls[-1].update(pj.CallOpParam(True))

    def do_transfer_to_other_call(self) -> None:
        first, *_, last = self.calls
        first.xferReplaces(last, pj.CallOpParam(True))

    def do_dtmf(self, digits: str) -> None:
        dtmf = pj.CallSendDtmfParam()
        dtmf.method = pj.PJSUA_DTMF_METHOD_SIP_INFO
        dtmf.digits = digits
        self.calls[-1].sendDtmf(dtmf)

    def do_message(self, to: str, text: str) -> None:
        message = pj.SendInstantMessageParam()
        message.content = text
        self._buddy(to).sendInstantMessage(message)

    def do_typing(self, to: str) -> None:
        typing = pj.SendTypingIndicationParam()
        typing.isTyping = True
        self._buddy(to).sendTypingIndication(typing)

    def do_watch(self, whom: str) -> None:
        self._buddy(whom).subscribePresence(True)

    def do_watch_no_more(self) -> None:
        for buddy in self.buddies.values():
            buddy.subscribePresence(False)

    def do_presence(self, note: str) -> None:
        status = pj.PresenceStatus()
        status.status = pj.PJSUA_BUDDY_STATUS_ONLINE
        status.activity = pj.PJRPID_ACTIVITY_BUSY
        status.note = note
        self.account.setOnlineStatus(status)

    def _buddy(self, uri: str) -> Buddy:
        if uri not in self.buddies:
            friend = pj.BuddyConfig()
            friend.uri = uri
            self.buddies[uri] = Buddy()
            self.buddies[uri].create(self.account, friend)
        return self.buddies[uri]

    def do_flush(self) -> None:
        """Push the log lines so far through the log file's buffer, of 4096 bytes."""
        for _ in range(2):
            self.endpoint.utilLogWrite(5, "pjsua_phone", "." * 3000)

    def do_packets(self) -> tuple[int, int]:
        call = self.calls[-1]
        if not call.hasMedia():
            return 0, 0
        statistics = call.getStreamStat(0).rtcp
        return statistics.txStat.pkt, statistics.rxStat.pkt


if __name__ == "__main__":
    Phone(json.loads(sys.argv[1])).run()
