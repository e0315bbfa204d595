// SPDX-License-Identifier: Apache-2.0
// Brings the page up to date; what is open, and where one has scrolled to, stays. Without scripts one reloads it.
"use strict";
const EVERY_MS = 30000;
let running = false;

async function refresh() {
  if (document.hidden || running) return;
  running = true;
  try {
    const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = fresh.getElementById("content");
    if (!content) return;
    for (const open of document.querySelectorAll("details[open]")) {
      const same = content.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    const focused = document.activeElement && document.activeElement.closest("#content details, #content .scroll");
    if (focused || String(getSelection())) return;
    document.getElementById("content").replaceWith(document.adoptNode(content));
    document.title = fresh.title;
  } catch { /* the next time */ } finally { running = false; }
}
setInterval(refresh, EVERY_MS);
