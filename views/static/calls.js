// The live page of calls: it is loaded again when the server says so, and the times run on.
"use strict";
(() => {
  const RETRY_MS = 10000;
  let source = null;
  let timer = 0;

  /** Return seconds as a phone shows them. */
  function clockText(seconds) {
    const two = (number) => String(number).padStart(2, "0");
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    const rest = two(seconds % 60);
    return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
  }

  /** Count every <time data-running="seconds"> up, from the time when it was loaded. */
  function countUp() {
    for (const element of document.querySelectorAll("[data-running]")) {
      const { running } = element.dataset;
      if (element.shown !== running) {
        element.shown = running;
        element.beganAt = performance.now() - 1000 * Number(running);
      }
      const seconds = Math.floor((performance.now() - element.beganAt) / 1000);
      element.textContent = clockText(seconds);
    }
  }

  function refresh() {
    document.getElementById("calls")?.dispatchEvent(new Event("changed"));
  }

  function say(text) {
    const element = document.getElementById("live");
    if (element) element.textContent = text;
  }

  /** Refresh by time while there is no stream: too many are open, or the server restarts. */
  function open() {
    close();
    source = new EventSource("/calls/events");
    source.addEventListener("open", () => say(TEXTS.live));
    source.addEventListener("changed", refresh);
    source.addEventListener("ended", () => { close(); location.reload(); });
    source.addEventListener("error", () => {
      say("");
      if (source?.readyState !== EventSource.CLOSED) return;  // else the browser tries again
      close();
      timer = setTimeout(() => { refresh(); open(); }, RETRY_MS);
    });
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  // A browser has six connections to a server: a hidden page needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  // The refreshed page has an empty "live" mark.
  document.addEventListener("htmx:after:swap", () => {
    if (source?.readyState === EventSource.OPEN) say(TEXTS.live);
    countUp();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  setInterval(countUp, 1000);
  if (!document.hidden) open();
})();
