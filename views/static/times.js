// Times in the zone of the browser, in the order of its language.  Without scripts they are in UTC.
"use strict";
(() => {
  const { lang } = document.documentElement;
  // The browser's own variant of the language of the page, such as de-AT.
  const own = navigator.languages.find((each) => each.split("-")[0] === lang);
  const formats = {
    both: new Intl.DateTimeFormat(own ?? lang, { dateStyle: "medium", timeStyle: "medium" }),
    date: new Intl.DateTimeFormat(own ?? lang, { dateStyle: "medium" }),
    time: new Intl.DateTimeFormat(own ?? lang, { timeStyle: "short" }),
  };

  /** Show all times: in the text, or in the title of a text like "5 min ago". */
  function showTimes() {
    for (const element of document.querySelectorAll("time[data-show]")) {
      const text = formats[element.dataset.show].format(new Date(element.dateTime));
      if (element.textContent !== text) element.textContent = text;
    }
    for (const element of document.querySelectorAll("time[title]:not([data-show], [data-left])")) {
      element.title = formats.both.format(new Date(element.dateTime));
    }
    for (const element of document.querySelectorAll("time[data-left][title*=T]")) {
      element.title = formats.both.format(new Date(element.title));
    }
  }

  showTimes();
  document.addEventListener("htmx:after:swap", showTimes);
})();
