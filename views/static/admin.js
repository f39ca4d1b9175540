// What the pages do beyond HTML: times that count down, and copying.  Without it all still works.
"use strict";
document.documentElement.classList.add("js");

const UNITS = [["h", 3600], ["min", 60], ["s", 1]];

/** Put seconds into words the way the server does: the two largest units. */
function inWords(seconds) {
  if (seconds <= 0) return "now";
  const parts = [];
  for (const [name, size] of UNITS) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count) parts.push(`${count} ${name}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** Count every <time data-left="seconds"> down, from the moment it came. */
function countDown() {
  for (const element of document.querySelectorAll("[data-left]")) {
    const said = element.dataset.left;
    if (element.said !== said) {
      element.said = said;
      element.endsAt = performance.now() + 1000 * Number(said);
    }
    element.textContent = inWords(Math.round((element.endsAt - performance.now()) / 1000));
  }
}

/** Copy the field before a button; where the browser forbids it, leave it selected. */
async function copy(button) {
  const field = button.parentElement.querySelector("input");
  field.select();
  let copied = false;
  try {
    await navigator.clipboard.writeText(field.value);
    copied = true;
  } catch {
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

/** Save the text of a field as a file. */
function save(button) {
  const text = document.getElementById(button.dataset.of).value;
  const url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = button.dataset.save;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy], button[data-print], button[data-save]");
  if (!button) return;
  if ("copy" in button.dataset) copy(button);
  else if ("print" in button.dataset) window.print();
  else save(button);
});

// A password that is typed is the one to take, until a click asks for another to be made.
document.addEventListener("input", (event) => {
  const { name, form, value } = event.target;
  if (name === "password" && form?.elements.how && value) form.elements.how.value = "type";
  if (name === "how" && value === "make") form.elements.password.value = "";
});

// A search writes one entry of history: while it is being typed, that entry changes.
let isSearching = false;
let isLastOfSearch = false;
document.addEventListener("change", (event) => {
  isLastOfSearch = isSearching && event.target.type === "search";
  isSearching = isLastOfSearch;
});
window.addEventListener("popstate", () => { isSearching = false; });
document.addEventListener("htmx:before:history:update", (event) => {
  const update = event.detail.history;
  const isTyped = document.activeElement?.type === "search";
  if (update.path === location.pathname + location.search) {
    event.preventDefault();
  } else if (isSearching && (isTyped || isLastOfSearch)) {
    update.type = "replace";
  } else {
    isSearching = isTyped;
  }
  if (isLastOfSearch) isSearching = isLastOfSearch = false;
});

// A page that keeps itself fresh says when it no longer is.
document.addEventListener("htmx:error", () => {
  document.getElementById("unanswered").hidden = false;
});
document.addEventListener("htmx:after:request", (event) => {
  document.getElementById("unanswered").hidden = event.detail.ctx.response.status < 400;
});

// What a click asks to see is shown in a dialog, and gone when that is closed.
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx.target?.id === "shown") document.getElementById("dialog").showModal();
});
document.getElementById("dialog")?.addEventListener("close", () => {
  document.getElementById("shown").replaceChildren();
});

setInterval(countDown, 1000);
