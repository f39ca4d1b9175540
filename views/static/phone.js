// The phone in the browser: registers by WebSocket, calls, and shows each state in words.
"use strict";
(() => {
  const root = document.getElementById("phone");
  const config = JSON.parse(root.dataset.phone);
  root.removeAttribute("data-phone");
  const TEXTS = config.texts;
  const REGISTER_SECONDS = 120;  // the login ends with the session, and then the registration
  const ICE_MS = 500;  // candidates that come later are not waited for
  const RETRY_MS = 30_000;  // after a refused registration
  const $ = (id) => document.getElementById(id);
  const say = (text, values = {}) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  const title = document.title;

  let ua = null;
  // The call that the page shows: {session, name, target, isOutgoing, startedAt, answeredAt,
  // isHeld, isMuted, peerHolds, stream, microphone, referral, transfer, before}; `before` is the
  // call that transferred us to it.
  let call = null;
  let ticking = 0;
  let retry = 0;
  let lastPlace = "number";  // what had the focus, or could have had it

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

  // A new state is read out; the running time is not read out each second.
  function showState(text, isTick = false) {
    const state = $("call-state");
    if (state.textContent === text) return;
    if (isTick) state.setAttribute("aria-live", "off");
    else state.removeAttribute("aria-live");
    state.textContent = text;
  }

  function show(id, isShown) {
    $(id).hidden = !isShown;
  }

  function showCall() {
    const active = document.activeElement;
    const isTalking = Boolean(call?.answeredAt);
    const isRinging = Boolean(call && !call.isOutgoing && !isTalking);
    show("dial", !call);
    show("ringing", isRinging);
    show("referred", isTalking && call.referral);
    show("talking", call && !isRinging);
    for (const id of ["mute", "hold", "keypad", "transfer"]) show(id, isTalking);
    if (!isTalking) {
      for (const id of ["keys", "pressed", "transfer-form"]) show(id, false);
      for (const id of ["keypad", "transfer"]) $(id).setAttribute("aria-expanded", "false");
      $("pressed").textContent = "";
    }
    show("peer", call);
    $("peer").textContent = call?.name ?? "";
    $("mute").setAttribute("aria-pressed", String(Boolean(call?.isMuted)));
    $("hold").textContent = call?.isHeld ? TEXTS.resume : TEXTS.hold;
    document.title = isRinging ? say(TEXTS.isCalling, call) : title;
    clearInterval(ticking);
    if (isTalking) {
      showTalk(false);
      ticking = setInterval(showTalk, 1000, true);
    }
    // Keyboard and screen reader follow from a part that is hidden now to the part in its place.
    const place = isRinging ? "answer" : call ? "hang-up" : "number";
    const isLost = active.getClientRects().length === 0;
    if (isLost || (active === document.body && place !== lastPlace)) $(place).focus();
    lastPlace = place;
  }

  function showTalk(isTick) {
    const time = PhonePast.duration(Date.now() - call.answeredAt);
    if (call.referral) showState(say(TEXTS.refers, {...call, target: call.referral.target}));
    else if (call.transfer) showState(call.transfer);
    else if (call.isHeld) showState(TEXTS.onHold);
    else if (call.peerHolds) showState(say(TEXTS.heldByPeer, call));
    else showState(say(TEXTS.talking, {time}), isTick);
  }

  // Why a call ended, in words

  function warningOf(message) {
    const warning = message?.getHeader?.("Warning");
    const quoted = warning?.match(/"((?:[^"\\]|\\.)*)"/);
    return quoted ? quoted[1].replace(/\\(.)/g, "$1") : "";
  }

  // Another phone of ours has taken the call (RFC 3326).
  function wasTaken(message) {
    return /SIP\s*;.*cause=200\b/i.test(message?.getHeader?.("Reason") ?? "");
  }

  function endText(ended, {cause, message, originator}) {
    const C = JsSIP.C.causes;
    const {isOutgoing} = ended;
    const reason = warningOf(message) || message?.reason_phrase;
    const status = message?.status_code;
    if (cause === C.BYE) return TEXTS.callEnded;
    if (cause === C.CANCELED && !isOutgoing) {
      return wasTaken(message) ? TEXTS.answeredElsewhere : TEXTS.missed;
    }
    if (cause === C.CANCELED) return TEXTS.cancelled;
    if (cause === C.BUSY) return TEXTS.busy;
    if (cause === C.REJECTED && (!isOutgoing || status === 603)) return TEXTS.declined;
    if ([C.NO_ANSWER, C.EXPIRES, C.REQUEST_TIMEOUT].includes(cause)) {
      return isOutgoing ? TEXTS.noAnswer : TEXTS.missed;
    }
    if (cause === C.CONNECTION_ERROR) return say(TEXTS.failed, {cause: TEXTS.connectionLost});
    if (cause === C.NOT_FOUND) return TEXTS.notFound;
    if (cause === C.UNAVAILABLE && status === 480) return TEXTS.unavailable;
    if (cause === C.INCOMPATIBLE_SDP && !warningOf(message)) return TEXTS.noCommonMedia;
    if (originator === "system" || !reason) return say(TEXTS.failed, {cause});
    return say(TEXTS.failed, {cause: reason});
  }

  function end(ended, event) {
    const text = endText(ended, event);
    PhonePast.add(ended, text);
    release(ended.microphone);
    if (call?.before === ended) call.before = null;
    if (call !== ended) return;
    PhoneRing.stop();
    call = ended.before ?? null;  // a transfer has failed: its call goes on
    if (call) $("sound").srcObject = call.stream ?? null;
    showState(text);
    showCall();
  }

  // Calls

  function userOf(uri) {
    try {
      return decodeURIComponent(uri.user || "") || uri.host;
    } catch {
      return uri.user;
    }
  }

  function begin(session, isOutgoing) {
    const peer = session.remote_identity;
    const user = userOf(peer.uri);
    return {
      session,
      isOutgoing,
      name: peer.display_name || user,
      target: peer.uri.host === config.realm ? user : peer.uri.toAor(),
      startedAt: Date.now(),
      before: call,
    };
  }

  function track(session, isOutgoing) {
    const mine = begin(session, isOutgoing);
    call = mine;
    session.on("peerconnection", ({peerconnection}) => hear(mine, peerconnection));
    if (session.connection) hear(mine, session.connection);
    let waits = 0;
    session.on("icecandidate", ({ready}) => {
      clearTimeout(waits);
      waits = setTimeout(ready, ICE_MS);
    });
    session.on("progress", () => {
      if (!isOutgoing || call !== mine) return;
      showState(TEXTS.ringing);
      PhoneRing.ringBack();
    });
    session.on("accepted", () => {
      PhoneRing.stop();
      mine.answeredAt = Date.now();
      showCall();
      listDevices();
    });
    session.on("hold", ({originator}) => setHold(mine, originator, true));
    session.on("unhold", ({originator}) => setHold(mine, originator, false));
    session.on("muted", () => { mine.isMuted = true; showCall(); });
    session.on("unmuted", () => { mine.isMuted = false; showCall(); });
    session.on("refer", (event) => refer(mine, event));
    session.on("ended", (event) => end(mine, event));
    session.on("failed", (event) => end(mine, event));
    showCall();
  }

  function setHold(mine, originator, isOn) {
    if (originator === "local") mine.isHeld = isOn;
    else mine.peerHolds = isOn;
    showCall();
  }

  function hear(mine, connection) {
    connection.addEventListener("track", ({streams}) => {
      [mine.stream] = streams;
      if (call === mine) $("sound").srcObject = mine.stream;
    });
  }

  // Return the sound of the microphone; null, and say why, if there is none.
  async function microphone() {
    const device = $("microphone").value;
    try {
      const audio = device ? {deviceId: {exact: device}} : true;
      return await navigator.mediaDevices.getUserMedia({audio, video: false});
    } catch ({name}) {
      showState(name === "NotFoundError" ? TEXTS.noMicrophone : TEXTS.denied);
      return null;
    }
  }

  function release(stream) {
    for (const sound of stream?.getTracks() ?? []) sound.stop();
  }

  function options(stream) {
    return {mediaStream: stream, pcConfig: {iceServers: config.ice}, sessionTimersExpires: 1800};
  }

  async function changeMicrophone() {
    const mine = call;
    const stream = mine?.microphone && await microphone();
    if (!stream) return;
    const [sound] = stream.getAudioTracks();
    sound.enabled = !mine.isMuted && !mine.isHeld;
    await mine.session.connection.getSenders()[0].replaceTrack(sound);
    release(mine.microphone);
    mine.microphone = stream;
  }

  function uriOf(target) {
    return target.includes("@") || /^(sips?|tel):/i.test(target)
      ? target
      : `sip:${encodeURIComponent(target)}@${config.realm}`;
  }

  // Call by `begins`, which gets the options of JsSIP and reports the new call by newRTCSession.
  async function place(begins) {
    const before = call;
    const stream = await microphone();
    if (!stream) return;
    try {
      if (call === before) begins(options(stream));
    } catch {
      showState(TEXTS.badTarget);
    }
    if (call && call !== before && call.isOutgoing) call.microphone = stream;
    else release(stream);
  }

  function dial(target) {
    if (!call && ua) place((values) => ua.call(uriOf(target), values));
  }

  async function answer() {
    const mine = call;
    const stream = await microphone();
    if (!stream || mine.microphone || !mine.session.isInProgress()) {
      release(stream);
      return;
    }
    PhoneRing.stop();
    mine.microphone = stream;
    mine.session.answer(options(stream));
  }

  function incoming(session) {
    if (call) {
      PhonePast.add(begin(session, false), TEXTS.missed);
      session.terminate({status_code: 486});
      return;
    }
    track(session, false);
    showState(say(TEXTS.isCalling, call));
    if ($("ring").checked) PhoneRing.ring();
  }

  // The peer transfers us.  Its target may cost money, so the user decides.
  function refer(mine, {request, accept, reject}) {
    if (call !== mine || mine.referral) {
      reject();
      return;
    }
    const {uri} = request.refer_to;
    const target = uri.host === config.realm ? userOf(uri) : uri.toAor();
    mine.referral = {target, accept, reject};
    showCall();
    $("follow").focus();
  }

  function answerReferral(isAccepted) {
    const referral = call?.referral;
    if (!referral) return;
    call.referral = null;
    showCall();
    if (isAccepted) place((values) => referral.accept(null, values));
    else referral.reject();
  }

  function transfer(target) {
    const mine = call;
    const tell = (text) => { mine.transfer = text; if (call === mine) showCall(); };
    const failed = (cause) => {
      tell(say(TEXTS.notTransferred, {cause}));
      setTimeout(tell, 5000, "");
    };
    try {
      mine.session.refer(ua.normalizeTarget(uriOf(target)).toString(), {
        eventHandlers: {
          accepted: () => {
            tell(TEXTS.transferred);
            if (!mine.session.isEnded()) mine.session.terminate();
          },
          failed: ({status_line: line}) => failed(line?.reason_phrase ?? ""),
          requestFailed: ({cause}) => failed(cause),
        },
      });
    } catch {
      failed(TEXTS.badTarget);
      return;
    }
    tell(say(TEXTS.transferring, {name: target}));
  }

  // The buttons

  $("dial").addEventListener("submit", (event) => {
    event.preventDefault();
    dial($("number").value.trim());
  });
  $("answer").addEventListener("click", () => { if (call) answer(); });
  $("decline").addEventListener("click", () => call?.session.terminate({status_code: 603}));
  $("hang-up").addEventListener("click", () => call?.session.terminate());
  $("follow").addEventListener("click", () => answerReferral(true));
  $("refuse").addEventListener("click", () => answerReferral(false));
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
      if (part === "keys") show("pressed", !$(part).hidden);
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
    $("pressed").textContent += key;
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

  $("microphone").addEventListener("change", changeMicrophone);
  $("speaker").addEventListener("change", ({target}) => $("sound").setSinkId(target.value));
  $("speaker-field").hidden = !("setSinkId" in HTMLMediaElement.prototype);
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);

  // The registration

  function hindrance() {
    if (!window.isSecureContext) return TEXTS.insecure;
    return window.RTCPeerConnection ? "" : TEXTS.unsupported;
  }

  function refused({cause, response}) {
    const hasEnded = [401, 407].includes(response?.status_code);
    const text = warningOf(response) || response?.reason_phrase || cause;
    showRegistration(hasEnded ? TEXTS.ended : say(TEXTS.refused, {cause: text}), "bad");
    clearTimeout(retry);
    if (!hasEnded) retry = setTimeout(() => { if (ua.isConnected()) ua.register(); }, RETRY_MS);
    else if (!call) reload();
  }

  // The page asks for a new login, or for the password; but not again and again.
  function reload() {
    try {
      const last = Number(sessionStorage.getItem("reloaded"));
      if (Date.now() - last < 60_000) return;
      sessionStorage.setItem("reloaded", String(Date.now()));
    } catch {
      return;
    }
    location.reload();
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const random = crypto.getRandomValues(new Uint32Array(2));
    JsSIP.debug.disable();
    ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(`${scheme}://${location.host}${config.path}`)],
      uri: config.uri,
      // Its user is the login: when that ends, the server removes this registration.
      contact_uri: `sip:${config.authorizationUser}@${random.join("")}.invalid;transport=ws`,
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
    ua.on("registrationFailed", refused);
    ua.on("newRTCSession", ({originator, session}) => {
      if (originator === "remote") {
        incoming(session);
      } else {
        track(session, true);
        showState(say(TEXTS.calling, call));
      }
    });
    ua.start();
    window.addEventListener("pagehide", () => ua.stop());
    window.addEventListener("pageshow", (event) => { if (event.persisted) ua.start(); });
  }

  function start() {
    PhonePast.load(`calls of ${config.uri}`, TEXTS, dial);
    const problem = hindrance();
    showHindrance(problem);
    if (problem) return;  // a phone that cannot talk is not registered
    root.hidden = false;
    showRegistration(TEXTS.connecting, "off");
    fill($("microphone"), [], "");
    fill($("speaker"), [], "");
    listDevices();
    $("number").focus();
    connect();
  }

  // A reload ends the call, so the browser asks first.
  window.addEventListener("beforeunload", (event) => { if (call) event.preventDefault(); });
  $("sign-out")?.addEventListener("submit", PhonePast.remove);

  showCall();
  start();
})();
