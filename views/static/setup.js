// A part of a page that is loaded again when the server says so; by time, too, see hx-trigger.
"use strict";
(() => {
  const RETRY_MS = 10000;
  let source = null;
  let timer = 0;

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function open() {
    close();
    const part = () => document.querySelector("[data-events]");
    source = new EventSource(part().dataset.events);
    source.addEventListener("changed", () => part().dispatchEvent(new Event("changed")));
    source.addEventListener("ended", close);
    source.addEventListener("error", () => {
      if (source?.readyState !== EventSource.CLOSED) return;  // else the browser tries again
      close();
      timer = setTimeout(open, RETRY_MS);
    });
  }

  // A browser has six connections to a server: a hidden page needs none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  if (!document.hidden) open();
})();
