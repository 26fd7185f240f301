// Which view is shown, and drawing it whenever something has changed.

import { askToken, tell } from "./dialogs.js";
import { h, render } from "./dom.js";
import { drift } from "./drift.js";
import { entity } from "./entity.js";
import { features } from "./features.js";
import { duration } from "./format.js";
import { jobs } from "./jobs.js";
import { live, lock, onChange, start, token } from "./live.js";
import { models } from "./models.js";
import { overview, summary } from "./overview.js";
import { badge, empty } from "./parts.js";
import { askEnds } from "./story.js";

const VIEWS = { overview, jobs, features, models, drift, entity };
const main = document.getElementById("main");
let drawing = false;
let spoken = "";
let startedAt = null;

function route() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  return { name: name in VIEWS ? name : "overview", rest: rest.map(decode) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function draw() {
  drawing = false;
  const { name, rest } = route();
  document.body.dataset.link = live.link;
  for (const link of document.querySelectorAll("#views a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name[0].toUpperCase()}${name.slice(1)} · Trellis`;
  render(document.getElementById("status"), status());
  render(main, [lost(), h("div", { key: name, class: `view view-${name}` }, live.pulse ? VIEWS[name](rest) : waiting())]);
  speak();
  tellRestart();
}

function status() {
  const states = {
    live: ["ok", live.pulse ? `live${live.polled ? ", polled" : ""} · up ${duration((live.pulse.at_us - live.pulse.started_at_us) / 1e6)}` : "live"],
    lost: ["failed", "not connected"],
    connecting: ["starting", "connecting"],
    locked: ["warn", "locked"],
  };
  const [state, text] = states[live.link];
  return [
    h("span", { class: "link-state", key: "link", title: live.link === "live" && live.polled ? "Something between this page and the engine holds the stream back: it asks once a second instead." : null }, badge(state, text)),
    token()
      ? h("button", { type: "button", key: "lock", onclick: lock, title: "Forget the token in this tab" }, "Lock actions")
      : h("button", { type: "button", key: "unlock", onclick: askToken }, "Unlock actions"),
  ];
}

function lost() {
  if (live.link !== "lost") return null;
  const since = Math.round((performance.now() - live.seenAt) / 1000);
  return h("p", { class: "lost", role: "alert", key: "lost" }, h("b", null, "The engine does not answer."), h("span", { "aria-hidden": "true" }, ` What you see is ${since} s old. It is tried again by itself; if the engine was stopped, start it with python main.py.`));
}

function waiting() {
  return live.link === "locked"
    ? empty("This Console takes a token", "The engine is not on loopback, or its calls take a token: so does looking. Choose “Unlock actions” above.")
    : empty("Connecting to the engine …", "");
}

// What is read aloud is the engine's state in a sentence, when it becomes another one; not each
// time that a number in it is another one.
function speak() {
  if (!live.pulse) return;
  const text = summary(live.pulse, askEnds().data ?? []).title.replace(/(, the last)? (\d+ s ago|just now)$/, "");
  const gist = text.replace(/(?<![-\w])\d[\d,]*/g, "");
  if (gist === spoken) return;
  spoken = gist;
  render(document.getElementById("spoken"), [text]);
}

// What was seen before is of another process: its workers, its token.
function tellRestart() {
  const at = live.pulse?.started_at_us;
  if (!at || at === startedAt) return;
  if (startedAt !== null) tell(`The engine has been started anew, as process ${live.pulse.pid}. To act, unlock with the token of this start.`);
  startedAt = at;
}

function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
}

window.addEventListener("hashchange", () => {
  drawSoon();
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // The address after # names a view, not a place in the page.
  main.focus();
});
onChange(drawSoon);
draw();
start();
