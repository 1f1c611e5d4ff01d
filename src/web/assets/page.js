// Fetches the page again and puts its main part in place; what the reader opened stays open.
"use strict";
const PERIOD = 2000;
async function refresh() {
  const old = document.getElementById("status");
  try {
    const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PERIOD * 2) });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = fresh.getElementById("status");
    for (const open of old.querySelectorAll("details[open]")) {
      const same = main.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    const focused = document.activeElement?.closest("details")?.id;
    old.replaceWith(main);
    if (focused) main.querySelector("#" + CSS.escape(focused) + " > summary")?.focus({ preventScroll: true });
    document.title = fresh.title;
  } catch {
    // Old news must not look like news.
    old.classList.add("stale");
    old.querySelector(".updated").textContent = "Banken does not answer; this is what it last said.";
    document.title = "no answer – Banken";
  }
  setTimeout(refresh, PERIOD);
}
setTimeout(refresh, PERIOD);
