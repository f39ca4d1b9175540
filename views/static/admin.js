// Scripts of the pages: theme, shortcuts, countdowns, copying.  All pages also work without scripts.
"use strict";
document.documentElement.classList.add("js");

const UNITS = [["h", 3600], ["min", 60], ["s", 1]];

/** Return seconds in words as the server does, in the two largest units. */
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

// Typing a password selects "type"; a click on "make" empties the field.
document.addEventListener("input", (event) => {
  const { name, form, value } = event.target;
  if (name === "password" && form?.elements.how && value) form.elements.how.value = "type";
  if (name === "how" && value === "make") form.elements.password.value = "";
});

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
    button.textContent = "Copy";
    button.ariaLabel = `Copy: ${value.previousElementSibling.textContent}`;
    place.append(button);
    value.after(place);
  }
}

addCopyButtons();
document.addEventListener("htmx:after:swap", addCopyButtons);

// The theme: a cookie, so that the server sends the next page in it; other open pages follow.
const THEMES = ["system", "light", "dark"];
const themeForm = document.getElementById("theme");

function showTheme(theme) {
  const button = themeForm.elements.theme;
  const isSystem = theme === "system";
  if (isSystem) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.querySelector("meta[name=color-scheme]").content = isSystem ? "light dark" : theme;
  button.textContent = `Theme: ${theme}`;
  button.value = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
}

themeForm?.addEventListener("submit", (event) => {
  event.preventDefault();
  const theme = themeForm.elements.theme.value;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `sipserver_theme=${theme}; path=/; max-age=31536000; samesite=lax${secure}`;
  localStorage.setItem("theme", theme);
  showTheme(theme);
});
window.addEventListener("storage", ({ key, newValue }) => {
  if (themeForm && key === "theme" && THEMES.includes(newValue)) showTheme(newValue);
});

// Shortcuts of one letter can be switched off (WCAG 2.2, 2.1.4), and rest while a field has focus.
const SHORTCUTS = [
  ["/", "Search users"],
  ["g o", "Overview", "/"],
  ["g c", "Calls", "/calls"],
  ["g h", "History", "/history"],
  ["g u", "Users", "/users"],
  ["g t", "Trouble", "/trouble"],
  ["?", "This list"],
];
const FIELDS = "input, select, textarea, dialog, [contenteditable]";
const shortcutsButton = document.querySelector("[data-shortcuts] button");
let lastKey = "";
let lastKeyAt = 0;

function shortcutsAreOn() {
  return localStorage.getItem("shortcuts") !== "off";
}

/** Show the list of shortcuts, with the switch that turns them off. */
function showShortcuts() {
  let dialog = document.getElementById("shortcuts");
  if (!dialog) {
    const rows = SHORTCUTS.map(
      ([keys, name]) =>
        `<dt>${keys.split(" ").map((key) => `<kbd>${key}</kbd>`).join(" then ")}</dt><dd>${name}</dd>`,
    );
    document.body.insertAdjacentHTML(
      "beforeend",
      `<dialog id="shortcuts" aria-labelledby="shortcuts-title">
       <h2 id="shortcuts-title">Keyboard shortcuts</h2><dl class="kv">${rows.join("")}</dl>
       <label><input type="checkbox"> Use these shortcuts</label>
       <form method="dialog"><button>Close</button></form></dialog>`,
    );
    dialog = document.getElementById("shortcuts");
    dialog.querySelector("input").addEventListener("change", (event) => {
      localStorage.setItem("shortcuts", event.target.checked ? "on" : "off");
    });
  }
  dialog.querySelector("input").checked = shortcutsAreOn();
  dialog.showModal();
}

function goToSearch() {
  const search = document.querySelector("input[type=search]");
  if (search) search.focus();
  else location.href = "/users#q";
}

shortcutsButton?.addEventListener("click", showShortcuts);
document.addEventListener("keydown", (event) => {
  const { key, target, timeStamp } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (!shortcutsButton || !shortcutsAreOn() || target.closest?.(FIELDS)) return;
  const keys = lastKey === "g" && timeStamp - lastKeyAt < 1500 ? `g ${key}` : key;
  [lastKey, lastKeyAt] = [keys, timeStamp];
  const shortcut = SHORTCUTS.find(([each]) => each === keys);
  if (!shortcut) return;
  event.preventDefault();
  if (shortcut[2]) location.href = shortcut[2];
  else if (keys === "/") goToSearch();
  else showShortcuts();
});
if (location.hash === "#q") document.getElementById("q")?.focus();

// The menu of the bottom bar closes by Escape and by a click elsewhere.
const menu = document.querySelector(".tabbar details");
document.addEventListener("click", (event) => {
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
});
menu?.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    menu.open = false;
    menu.firstElementChild.focus();
  }
});

setInterval(countDown, 1000);
