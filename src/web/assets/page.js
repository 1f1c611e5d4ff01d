// Puts what changed in place while the page is open, and keeps ages current. Without it the page loads itself anew.
"use strict";
const words = JSON.parse(document.body.dataset.words);
const main = () => document.getElementById("status");
const SILENCE = 12000, AGAIN = 2000, POLL = 5000;
let events = null, heard = Date.now(), timer = 0, busy = false;
// What this clock is behind Banken's, in seconds.
let skew = Number(document.body.dataset.now) - Date.now() / 1000;
const now = () => Date.now() / 1000 + skew;

function age(forms, at) {
  const seconds = Math.max(0, now() - at);
  const [number, unit] = seconds < 100 ? [seconds, 0] : seconds < 6000 ? [seconds / 60, 1]
    : seconds < 259200 ? [seconds / 3600, 2] : [seconds / 86400, 3];
  return forms[unit].replace("{0}", Math.round(number));
}

function tick() {
  for (const form of ["ago", "for"]) {
    for (const time of document.querySelectorAll(`time[data-${form}]`)) {
      const text = age(words[form], Number(time.dataset[form]));
      if (time.textContent !== text) time.textContent = text;
    }
  }
  if (Date.now() - heard > SILENCE) stale();
}

function fresh(at) {
  heard = Date.now();
  if (at) skew = at - heard / 1000;
  main().classList.remove("stale");
  const updated = main().querySelector(".updated");
  const text = words.asOf.replace("{0}", new Date(now() * 1000).toISOString().slice(11, 19) + " UTC");
  if (updated && updated.textContent !== text) updated.textContent = text;
}

// Old news must not look like news.
function stale() {
  if (main().classList.contains("stale")) return;
  main().classList.add("stale");
  const updated = main().querySelector(".updated");
  if (updated) updated.textContent = words.stale;
  document.title = words.gone + " – Banken";
}

// What the reader opened stays open, and where the reader is stays where it is.
function put(old, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const element = template.content.firstElementChild;
  for (const open of old.querySelectorAll("details[open]")) {
    const same = template.content.getElementById(open.id);
    if (same) same.open = true;
  }
  const focused = old.contains(document.activeElement) ? path(document.activeElement) : null;
  old.replaceWith(element);
  if (focused) element.querySelector(focused)?.focus({ preventScroll: true });
}

function path(element) {
  if (element.localName === "summary") return `#${CSS.escape(element.parentElement.id)} > summary`;
  if (element.id) return "#" + CSS.escape(element.id);
  return element.localName === "a" ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null;
}

function parts(news) {
  for (const [id, html] of Object.entries(news.parts)) {
    const old = document.getElementById(id);
    if (old) put(old, html);
  }
  const headline = document.getElementById("headline");
  if (headline.textContent !== news.headline) headline.textContent = news.headline;
  main().className = news.overall;
  document.title = news.word + " – Banken";
  fresh(news.now);
}

async function everything() {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(SILENCE) });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    put(main(), page.getElementById("status").outerHTML);
    document.title = page.title;
    const moved = document.body.dataset.events !== page.body.dataset.events && !location.pathname.startsWith("/probes/");
    document.body.dataset.events = page.body.dataset.events;
    fresh(Number(page.body.dataset.now));
    if (moved && events) listen();
  } catch {
    stale();
  } finally {
    busy = false;
  }
}

function listen() {
  clearTimeout(timer);
  events?.close();
  events = new EventSource(document.body.dataset.events);
  events.addEventListener("beat", (event) => {
    if (main().classList.contains("stale")) everything();
    fresh(Number(event.data));
  });
  events.addEventListener("parts", (event) => parts(JSON.parse(event.data)));
  events.addEventListener("everything", everything);
  events.onerror = () => {
    stale();
    // The browser tries again by itself, unless it was refused: then the page is fetched now and then.
    if (events?.readyState === EventSource.CLOSED) {
      events = null;
      everything().then(() => { timer = setTimeout(listen, POLL); });
    }
  };
}

// A page that nobody sees must not hold one of the few connections that a browser opens to one server.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    events?.close();
    events = null;
  } else if (!events) {
    everything().then(listen);
  }
});
addEventListener("pagehide", () => events?.close());
setInterval(tick, 1000);
heard = Date.now();
listen();
