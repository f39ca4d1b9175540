// Scripts of the pages: countdowns, copying, saving.  All pages also work without scripts.
"use strict";
document.documentElement.classList.add("js");

// The texts of all scripts in the language of the page.
const TEXTS = JSON.parse(document.body.dataset.texts);
const UNITS = [["h", 3600], ["min", 60], ["s", 1]];

/** Put values in the places of a text: {name}. */
function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** Return seconds in words as the server does, in the two largest units. */
function inWords(seconds) {
  if (seconds <= 0) return TEXTS.now;
  const parts = [];
  for (const [name, size] of UNITS) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count) parts.push(filled(TEXTS[name], { count }));
  }
  return parts.slice(0, 2).join(" ");
}

/** Count every <time data-left="seconds"> down, from the time when it was loaded. */
function countDown() {
  for (const element of document.querySelectorAll("[data-left]")) {
    const left = element.dataset.left;
    if (element.shown !== left) {
      element.shown = left;
      element.endsAt = performance.now() + 1000 * Number(left);
    }
    element.textContent = inWords(Math.round((element.endsAt - performance.now()) / 1000));
  }
}

/** Copy the field or text before a button; if the browser forbids it, only select it. */
async function copy(button) {
  const source = button.previousElementSibling ?? button.parentElement.previousElementSibling;
  if (source.select) source.select();
  else getSelection().selectAllChildren(source);
  let copied = false;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    copied = true;
  } catch {
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? TEXTS.copied : TEXTS.selected;
  setTimeout(() => { button.textContent = TEXTS.copy; }, 2000);
}

/** Give each value for a phone a button that copies it. */
function addCopyButtons() {
  for (const value of document.querySelectorAll("[data-value]")) {
    if (value.nextElementSibling?.className === "act") continue;
    const place = document.createElement("dd");
    const button = document.createElement("button");
    place.className = "act";
    button.type = "button";
    button.className = "s";
    button.dataset.copy = "";
    button.textContent = TEXTS.copy;
    button.ariaLabel = filled(TEXTS.copyOf, { name: value.previousElementSibling.textContent });
    place.append(button);
    value.after(place);
  }
}

addCopyButtons();
document.addEventListener("htmx:after:swap", addCopyButtons);

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

// Typing a password selects "type"; a click on "make" empties the field.
document.addEventListener("input", (event) => {
  const { name, form, value } = event.target;
  if (name === "password" && form?.elements.how && value) form.elements.how.value = "type";
  if (name === "how" && value === "make") form.elements.password.value = "";
});

// One tick chooses all users on the page; the capture comes before the form sends the ticks.
document.addEventListener("change", (event) => {
  if (!("tickAll" in event.target.dataset)) return;
  for (const box of event.target.form.querySelectorAll("[name=id]")) {
    box.checked = event.target.checked;
  }
}, true);

// A search makes one history entry, which is replaced while the user types.
let isSearching = false;
let isEndOfSearch = false;
document.addEventListener("change", (event) => {
  isEndOfSearch = isSearching && event.target.type === "search";
  isSearching = isEndOfSearch;
});
window.addEventListener("popstate", () => { isSearching = false; });
document.addEventListener("htmx:before:history:update", (event) => {
  const update = event.detail.history;
  const isTyped = document.activeElement?.type === "search";
  if (update.path === location.pathname + location.search) {
    event.preventDefault();
  } else if (isSearching && (isTyped || isEndOfSearch)) {
    update.type = "replace";
  } else {
    isSearching = isTyped;
  }
  if (isEndOfSearch) isSearching = isEndOfSearch = false;
});

// A page that refreshes itself shows a notice when a refresh has failed.
document.addEventListener("htmx:error", () => {
  document.getElementById("unanswered").hidden = false;
});
document.addEventListener("htmx:after:request", (event) => {
  document.getElementById("unanswered").hidden = event.detail.ctx.response.status < 400;
});

// HA1 digests are shown in a dialog, and removed when it is closed.
document.addEventListener("htmx:after:swap", (event) => {
  if (event.detail.ctx.target?.id === "shown") document.getElementById("dialog").showModal();
});
document.getElementById("dialog")?.addEventListener("close", () => {
  document.getElementById("shown").replaceChildren();
});

// A link to a text copies the text; if the browser forbids that, it leads to the text.
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-copy-of]");
  if (!link || !navigator.clipboard || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const response = await fetch(link.dataset.copyOf);
    if (!response.ok) throw new Error(response.statusText);
    await navigator.clipboard.writeText(await response.text());
    link.textContent = TEXTS.copied;
    setTimeout(() => { link.textContent = TEXTS.copyAsText; }, 2000);
  } catch {
    location.assign(link.href);
  }
});

setInterval(countDown, 1000);
