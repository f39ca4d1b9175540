// Scripts of the frame: theme, keyboard shortcuts, menu.  All of it but the shortcuts also works
// without scripts.
"use strict";

// The theme: a cookie, so that the server sends the next page in it; other open pages follow.
const THEMES = ["system", "light", "dark"];
const themeForm = document.getElementById("theme");

function showTheme(theme) {
  const button = themeForm.elements.theme;
  const isSystem = theme === "system";
  if (isSystem) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.querySelector("meta[name=color-scheme]").content = isSystem ? "light dark" : theme;
  button.textContent = filled(TEXTS.theme, { name: TEXTS[theme] });
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
  ["/", TEXTS.searchUsers],
  ["g o", TEXTS.overview, "/"],
  ["g c", TEXTS.calls, "/calls"],
  ["g h", TEXTS.history, "/history"],
  ["g u", TEXTS.users, "/users"],
  ["g t", TEXTS.trouble, "/trouble"],
  ["?", TEXTS.thisList],
];
const FIELDS = "input, select, textarea, dialog, [contenteditable]";
const shortcutsButton = document.querySelector("[data-shortcuts] button");
let lastKey = "";
let lastKeyAt = 0;

/** Return a text as HTML. */
function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function shortcutsAreOn() {
  return localStorage.getItem("shortcuts") !== "off";
}

/** Show the list of shortcuts, with the switch that turns them off. */
function showShortcuts() {
  let dialog = document.getElementById("shortcuts");
  if (!dialog) {
    const rows = SHORTCUTS.map(
      ([keys, name]) =>
        `<dt>${keys.split(" ").map((key) => `<kbd>${key}</kbd>`).join(` ${escaped(TEXTS.then)} `)}</dt>
         <dd>${escaped(name)}</dd>`,
    );
    document.body.insertAdjacentHTML(
      "beforeend",
      `<dialog id="shortcuts" aria-labelledby="shortcuts-title">
       <h2 id="shortcuts-title">${escaped(TEXTS.shortcuts)}</h2><dl class="kv">${rows.join("")}</dl>
       <label><input type="checkbox"> ${escaped(TEXTS.useShortcuts)}</label>
       <form method="dialog"><button>${escaped(TEXTS.close)}</button></form></dialog>`,
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
