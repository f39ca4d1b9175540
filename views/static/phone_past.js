// The calls of this tab, for the phone in the browser: a reload of the page keeps them.
"use strict";
const PhonePast = (() => {
  const MOST = 50;
  const CLOCK = {hour: "2-digit", minute: "2-digit", hourCycle: "h23"};
  const LANGUAGE = document.documentElement.lang || undefined;
  const $ = (id) => document.getElementById(id);
  let storedAs = "";
  let texts = {};
  let dial = null;
  let calls = [];  // {isOutgoing, name, target, startedAt, text}, the latest first

  function duration(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
  }

  function load(name, shownTexts, dialAgain) {
    [storedAs, texts, dial] = [name, shownTexts, dialAgain];
    try {
      calls = JSON.parse(sessionStorage.getItem(storedAs)) ?? [];
    } catch {
      calls = [];
    }
    show();
  }

  function add({isOutgoing, name, target, startedAt, answeredAt}, outcome) {
    const text = answeredAt ? `${outcome} ${duration(Date.now() - answeredAt)}` : outcome;
    calls = [{isOutgoing, name, target, startedAt, text}, ...calls].slice(0, MOST);
    try {
      sessionStorage.setItem(storedAs, JSON.stringify(calls));
    } catch {
      // a browser without storage keeps them until the page is left
    }
    show();
  }

  function remove() {
    sessionStorage.removeItem(storedAs);
  }

  function show() {
    $("no-past").hidden = calls.length > 0;
    $("past").replaceChildren(...calls.map(row));
  }

  function row({isOutgoing, name, target, startedAt, text}) {
    const item = document.createElement("li");
    const peer = document.createElement("b");
    peer.textContent = name;
    const again = document.createElement("button");
    again.type = "button";
    again.className = "s";
    again.textContent = "☎";
    again.setAttribute("aria-label", texts.callAgain.replace("{name}", () => name));
    again.addEventListener("click", () => dial(target));
    const outcome = document.createElement("div");
    outcome.className = "w";
    outcome.textContent = `${new Date(startedAt).toLocaleTimeString(LANGUAGE, CLOCK)} · ${text}`;
    item.append(`${isOutgoing ? texts.outgoing : texts.incoming} `, peer, " ", again, outcome);
    return item;
  }

  return {add, duration, load, remove};
})();
