// The phone in the browser: registers by WebSocket, calls, and shows each state in words.
"use strict";
(() => {
  const root = document.getElementById("phone");
  const config = JSON.parse(root.dataset.phone);
  root.removeAttribute("data-phone");
  const TEXTS = config.texts;
  const REGISTER_SECONDS = 120;  // the login ends with the session, and then the registration
  const ICE_MS = 500;  // candidates that come later are not waited for
  const KEPT_CALLS = 50;
  const MEDIA = {audio: true, video: false};
  const $ = (id) => document.getElementById(id);
  const say = (text, values = {}) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  let ua = null;
  let call = null;  // {session, name, target, isOutgoing, startedAt, answeredAt, isHeld, peerHolds}
  let ticking = 0;

  // What the page shows

  function showRegistration(text, kind) {
    const pill = $("registration");
    pill.textContent = text;
    pill.className = `pill ${kind}`;
  }

  function showHindrance(text) {
    $("hindrance").hidden = !text;
    $("hindrance").querySelector("p").textContent = text;
  }

  function showState(text) {
    if ($("call-state").textContent !== text) $("call-state").textContent = text;
  }

  function duration(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
  }

  function showCall() {
    const isTalking = Boolean(call?.answeredAt);
    const isRinging = Boolean(call && !call.isOutgoing && !isTalking);
    $("dial").hidden = Boolean(call);
    $("ringing").hidden = !isRinging;
    $("talking").hidden = !call || isRinging;
    for (const id of ["mute", "hold", "keypad", "transfer"]) $(id).hidden = !isTalking;
    if (!isTalking) {
      for (const id of ["keys", "transfer-form"]) $(id).hidden = true;
      for (const id of ["keypad", "transfer"]) $(id).setAttribute("aria-expanded", "false");
    }
    $("peer").hidden = !call;
    $("peer").textContent = call?.name ?? "";
    $("mute").textContent = call?.isMuted ? TEXTS.unmute : TEXTS.mute;
    $("mute").setAttribute("aria-pressed", String(Boolean(call?.isMuted)));
    $("hold").textContent = call?.isHeld ? TEXTS.resume : TEXTS.hold;
    $("hold").setAttribute("aria-pressed", String(Boolean(call?.isHeld)));
    if (isTalking) {
      if (call.isHeld) showState(TEXTS.onHold);
      else if (call.peerHolds) showState(say(TEXTS.heldByPeer, call));
      else showState(say(TEXTS.talking, {time: duration(Date.now() - call.answeredAt)}));
    }
    clearInterval(ticking);
    if (isTalking) {
      // The running time is not read out each second: only a new state is.
      $("call-state").setAttribute("aria-live", "off");
      ticking = setInterval(showCall, 1000);
    } else {
      $("call-state").removeAttribute("aria-live");
    }
  }

  function addPast(text) {
    $("no-past").hidden = true;
    const item = document.createElement("li");
    const name = document.createElement("b");
    name.textContent = call.name;
    const what = document.createElement("div");
    what.className = "w";
    const talked = call.answeredAt ? ` ${duration(Date.now() - call.answeredAt)}` : "";
    const time = new Date(call.startedAt).toLocaleTimeString(undefined, {timeStyle: "short"});
    what.textContent = `${time} · ${text}${talked}`;
    const again = document.createElement("button");
    again.type = "button";
    again.className = "s";
    again.textContent = "☎";
    again.setAttribute("aria-label", say(TEXTS.callAgain, call));
    const {target} = call;
    again.addEventListener("click", () => dial(target));
    item.append(call.isOutgoing ? `${TEXTS.outgoing} ` : `${TEXTS.incoming} `, name, " ", again, what);
    $("past").prepend(item);
    while ($("past").children.length > KEPT_CALLS) $("past").lastElementChild.remove();
  }

  // Why a call ended, in words

  function warningOf(message) {
    const warning = message?.getHeader?.("Warning");
    const quoted = warning?.match(/"((?:[^"\\]|\\.)*)"/);
    return quoted ? quoted[1].replace(/\\(.)/g, "$1") : "";
  }

  function endText(event) {
    const {cause, message, originator} = event;
    const C = JsSIP.C.causes;
    if (!call.isOutgoing && cause === C.CANCELED) return TEXTS.missed;
    if (cause === C.BYE) return TEXTS.callEnded;
    if (cause === C.CANCELED) return TEXTS.cancelled;
    if (cause === C.BUSY) return TEXTS.busy;
    if (cause === C.REJECTED && (!call.isOutgoing || message?.status_code === 603)) return TEXTS.declined;
    if (cause === C.USER_DENIED_MEDIA_ACCESS) return call.hindrance || TEXTS.denied;
    if ([C.NO_ANSWER, C.EXPIRES, C.REQUEST_TIMEOUT].includes(cause)) {
      return call.isOutgoing ? TEXTS.noAnswer : TEXTS.missed;
    }
    if (cause === C.CONNECTION_ERROR) return say(TEXTS.failed, {cause: TEXTS.connectionLost});
    const reason = warningOf(message) || message?.reason_phrase;
    if (cause === C.NOT_FOUND) return TEXTS.notFound;
    if (cause === C.UNAVAILABLE && message?.status_code === 480) return TEXTS.unavailable;
    if (cause === C.INCOMPATIBLE_SDP && !warningOf(message)) return TEXTS.noCommonMedia;
    if (originator === "system" || !reason) return say(TEXTS.failed, {cause});
    return say(TEXTS.failed, {cause: reason});
  }

  function end(event) {
    PhoneRing.stop();
    const text = endText(event);
    addPast(text);
    const hadFocus = $("talking").contains(document.activeElement)
      || $("ringing").contains(document.activeElement);
    call = null;
    showCall();
    showState(text);
    if (hadFocus) $("number").focus();
  }

  // Calls

  function track(session, isOutgoing) {
    const peer = session.remote_identity;
    const user = decodeURIComponent(peer.uri.user || "") || peer.uri.host;
    const isHere = peer.uri.host === config.realm;
    call = {
      session,
      isOutgoing,
      name: peer.display_name || user,
      target: isHere ? user : peer.uri.toAor(),
      startedAt: Date.now(),
    };
    session.on("peerconnection", ({peerconnection}) => hear(peerconnection));
    if (session.connection) hear(session.connection);
    let waits = 0;
    session.on("icecandidate", ({ready}) => {
      clearTimeout(waits);
      waits = setTimeout(ready, ICE_MS);
    });
    session.on("progress", () => {
      if (!isOutgoing) return;
      showState(TEXTS.ringing);
      PhoneRing.ringBack();
    });
    session.on("accepted", () => {
      PhoneRing.stop();
      call.answeredAt = Date.now();
      showCall();
      listDevices();
    });
    session.on("hold", ({originator}) => setHold(originator, true));
    session.on("unhold", ({originator}) => setHold(originator, false));
    session.on("muted", () => { call.isMuted = true; showCall(); });
    session.on("unmuted", () => { call.isMuted = false; showCall(); });
    session.on("getusermediafailed", (error) => {
      call.hindrance = error?.name === "NotFoundError" ? TEXTS.noMicrophone : TEXTS.denied;
    });
    session.on("ended", end);
    session.on("failed", end);
    showCall();
  }

  function setHold(originator, isOn) {
    if (!call) return;
    if (originator === "local") call.isHeld = isOn;
    else call.peerHolds = isOn;
    showCall();
  }

  function hear(connection) {
    connection.addEventListener("track", ({streams}) => {
      $("sound").srcObject = streams[0];
    });
  }

  function options() {
    const device = $("microphone").value;
    return {
      mediaConstraints: device ? {audio: {deviceId: {exact: device}}, video: false} : MEDIA,
      pcConfig: {iceServers: config.ice},
      sessionTimersExpires: 1800,
    };
  }

  function dial(target) {
    if (call || !ua) return;
    showHindrance("");
    const uri = target.includes("@") || /^(sips?|tel):/i.test(target)
      ? target
      : `sip:${encodeURIComponent(target)}@${config.realm}`;
    try {
      ua.call(uri, options());
    } catch (error) {
      showState(say(TEXTS.failed, {cause: error.message}));
    }
  }

  function incoming(session) {
    if (call) {
      session.terminate({status_code: 486});
      return;
    }
    track(session, false);
    showState(say(TEXTS.isCalling, call));
    if ($("ring").checked) PhoneRing.ring();
    $("answer").focus();
  }

  function transfer(target) {
    const {session} = call;
    const uri = target.includes("@") ? target : `sip:${encodeURIComponent(target)}@${config.realm}`;
    showState(say(TEXTS.transferring, {name: target}));
    session.refer(uri, {
      eventHandlers: {
        accepted: () => { showState(TEXTS.transferred); session.terminate(); },
        failed: ({status_line: line}) => {
          showState(say(TEXTS.notTransferred, {cause: line?.reason_phrase ?? ""}));
        },
        requestFailed: ({cause}) => showState(say(TEXTS.notTransferred, {cause})),
      },
    });
  }

  // The buttons

  $("dial").addEventListener("submit", (event) => {
    event.preventDefault();
    dial($("number").value.trim());
  });
  $("answer").addEventListener("click", () => { call?.session.answer(options()); PhoneRing.stop(); });
  $("decline").addEventListener("click", () => call?.session.terminate({status_code: 603}));
  $("hang-up").addEventListener("click", () => call?.session.terminate());
  $("mute").addEventListener("click", () => {
    if (call?.isMuted) call.session.unmute({audio: true});
    else call?.session.mute({audio: true});
  });
  $("hold").addEventListener("click", () => {
    if (call?.isHeld) call.session.unhold();
    else call?.session.hold();
  });
  for (const [button, part] of [["keypad", "keys"], ["transfer", "transfer-form"]]) {
    $(button).addEventListener("click", () => {
      $(part).hidden = !$(part).hidden;
      $(button).setAttribute("aria-expanded", String(!$(part).hidden));
      if (!$(part).hidden) $(part).querySelector("input, button").focus();
    });
  }
  $("keys").addEventListener("click", ({target}) => {
    if (target.dataset.key) press(target.dataset.key);
  });
  $("keys").addEventListener("keydown", ({key}) => {
    if (/^[0-9*#]$/.test(key)) press(key);
  });
  $("transfer-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (call?.answeredAt) transfer($("transfer-to").value.trim());
  });

  function press(key) {
    const sender = call?.session.connection?.getSenders().find((each) => each.dtmf);
    const transportType = sender?.dtmf?.canInsertDTMF ? "RFC2833" : "INFO";
    call?.session.sendDTMF(key, {transportType});
  }

  // Devices: their names are known once the microphone may be used.

  async function listDevices() {
    if (!navigator.mediaDevices?.enumerateDevices) return;
    const devices = await navigator.mediaDevices.enumerateDevices();
    fill($("microphone"), devices.filter(({kind}) => kind === "audioinput"), TEXTS.microphone);
    fill($("speaker"), devices.filter(({kind}) => kind === "audiooutput"), TEXTS.speaker);
  }

  function fill(select, devices, label) {
    const chosen = select.value;
    select.replaceChildren(new Option(TEXTS.defaultDevice, ""));
    devices.forEach(({deviceId, label: name}, index) => {
      if (!deviceId || deviceId === "default") return;
      select.append(new Option(name || say(label, {number: index + 1}), deviceId));
    });
    select.value = chosen;
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  }

  $("speaker").addEventListener("change", ({target}) => $("sound").setSinkId(target.value));
  $("speaker-field").hidden = !("setSinkId" in HTMLMediaElement.prototype);
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);

  // The registration

  function start() {
    listDevices();
    fill($("microphone"), [], "");
    fill($("speaker"), [], "");
    if (!window.RTCPeerConnection) showHindrance(TEXTS.unsupported);
    else if (!window.isSecureContext) showHindrance(TEXTS.insecure);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    JsSIP.debug.disable();
    ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(`${scheme}://${location.host}${config.path}`)],
      uri: config.uri,
      display_name: config.name || null,
      authorization_user: config.authorizationUser,
      ha1: config.ha1,
      realm: config.realm,
      register_expires: REGISTER_SECONDS,
      user_agent: `sipserver phone, ${JsSIP.name} ${JsSIP.version}`,
    });
    ua.on("registered", () => showRegistration(TEXTS.registered, "on"));
    ua.on("unregistered", () => showRegistration(TEXTS.offline, "off"));
    ua.on("disconnected", () => showRegistration(TEXTS.offline, "bad"));
    ua.on("registrationFailed", ({cause, response}) => {
      const text = [401, 407].includes(response?.status_code)
        ? TEXTS.ended
        : say(TEXTS.refused, {cause: warningOf(response) || response?.reason_phrase || cause});
      showRegistration(text, "bad");
    });
    ua.on("newRTCSession", ({originator, session}) => {
      if (originator === "remote") {
        incoming(session);
      } else {
        track(session, true);
        showState(say(TEXTS.calling, call));
        $("hang-up").focus();
      }
    });
    ua.start();
    window.addEventListener("pagehide", () => ua.stop());
    window.addEventListener("pageshow", (event) => { if (event.persisted) ua.start(); });
  }

  showCall();
  start();
})();
