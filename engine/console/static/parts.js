// Small pieces that several views draw.

import { h } from "./dom.js";
import { ago, clock, moment } from "./format.js";
import { redraw } from "./live.js";

const SHAPES = {
  ok: [h("circle", { cx: 7, cy: 7, r: 4 })],
  busy: [h("circle", { cx: 7, cy: 7, r: 5.5, class: "ring" }), h("circle", { cx: 7, cy: 7, r: 2.6 })],
  starting: [h("circle", { cx: 7, cy: 7, r: 5, class: "ring dashed" })],
  warn: [h("path", { d: "M7 1.2 13.2 12.4H.8Z" })],
  failed: [h("path", { d: "M1.5 1.5h11v11h-11z" }), h("path", { d: "M4.5 4.5l5 5m0-5l-5 5", class: "cut" })],
  off: [h("circle", { cx: 7, cy: 7, r: 5, class: "ring" })],
};

/** A state by its shape; the words beside it say the same. */
export function shape(state) {
  return h("svg", { class: `shape ${state}`, viewBox: "0 0 14 14", "aria-hidden": "true" }, SHAPES[state] ?? SHAPES.off);
}

export function badge(state, text) {
  return h("span", { class: `badge ${state}` }, shape(state), text);
}

const WORKER_STATES = {
  starting: "starting", idle: "ok", running: "busy", leaving: "warn", waiting: "warn", parked: "failed", stuck: "failed", draining: "off", drained: "off",
};
export const workerState = (state) => WORKER_STATES[state] ?? "warn";

const JOB_STATES = {
  QUEUED: "off", SCHEDULED: "starting", RUNNING: "busy", SUCCEEDED: "ok", FAILED: "failed", CANCELLED: "off", DEAD: "failed",
};
export const jobBadge = (state) => badge(JOB_STATES[state] ?? "warn", state.toLowerCase());

/** A line of numbers over time; what is null leaves a gap. */
export function sparkline(values, label) {
  const known = values.filter((value) => value !== null);
  const most = Math.max(...known, 0);
  const width = 120;
  const height = 30;
  const x = (place) => width - (values.length - 1 - place);
  const y = (value) => (most ? height - 2 - (value / most) * (height - 6) : height - 2);
  let line = "";
  let area = "";
  let start = -1;
  values.forEach((value, place) => {
    if (value !== null) {
      line += `${start < 0 ? "M" : "L"}${x(place)} ${y(value).toFixed(1)}`;
      if (start < 0) start = place;
    }
    if (start >= 0 && (value === null || place === values.length - 1)) {
      const last = value === null ? place - 1 : place;
      const inner = values.slice(start, last + 1).map((one, step) => `L${x(start + step)} ${y(one).toFixed(1)}`).join("");
      area += `M${x(start)} ${height}${inner}L${x(last)} ${height}Z`;
      if (start === last) line += "h.8";
      start = -1;
    }
  });
  return h("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    h("path", { d: area || "M0 0", class: "area" }), h("path", { d: line || "M0 0", class: "line" }));
}

export function progressBar(done, total, label) {
  const share = total ? Math.min(1, done / total) : null;
  return h("div", {
    class: share === null ? "progress unknown" : "progress", role: "progressbar", "aria-label": label,
    "aria-valuemin": share === null ? null : 0, "aria-valuemax": share === null ? null : total, "aria-valuenow": share === null ? null : done,
  }, h("span", { style: { width: share === null ? "100%" : `${(share * 100).toFixed(1)}%` } }));
}

export function time(at_us, now_us) {
  return h("time", { datetime: new Date(at_us / 1000).toISOString(), title: moment(at_us) }, now_us ? ago(at_us, now_us) : clock(at_us));
}

export function stack(text, title = "Stack", open = false) {
  return h("details", { class: "fold", open: open || null }, h("summary", null, title), stackText(text));
}

export const stackText = (text) => h("pre", { tabindex: "0" }, threads(text).join("\n\n"));

// As they are written the main thread comes last, and it is the one that does the job.
function threads(text) {
  const all = text.trim().split(/\n\s*\n/);
  return all.length > 1 && all.every((one) => /^(Current t|T)hread 0x/.test(one)) ? [all.at(-1), ...all.slice(0, -1)] : [text];
}

/** Where the main thread was, in a few words; empty if that is not told. */
export function place(text) {
  const found = /File "([^"]*)", line (\d+) in (.*)/.exec(threads(text)[0]);
  return found ? `${found[3]} (${found[1].split("/").at(-1)}:${found[2]})` : "";
}

export const jobAddress = (id) => `#jobs/${encodeURIComponent(id)}`;

export function jobLink(id) {
  return h("a", { href: jobAddress(id), class: "mono", title: id }, `…${id.slice(-8)}`);
}

/** Nothing to show, and why, and what would change that. */
export function empty(title, text) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text && h("p", null, text));
}

/** What has been asked for: there, still on its way, or refused. */
export function loaded(answer, draw) {
  if (answer.data !== undefined) {
    return [answer.error && h("p", { class: "note warn", role: "alert" }, shape("warn"), `Not up to date: ${answer.error}`), draw(answer.data)];
  }
  if (answer.error) return h("p", { class: "note failed", role: "alert" }, shape("failed"), answer.error);
  return h("p", { class: "loading" }, "Asking …");
}

export function panel(title, props, ...children) {
  const id = `h-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h("section", { key: title, class: `panel ${props.class ?? ""}`, "aria-labelledby": id },
    h("div", { class: "panel-head" }, h("h2", { id }, title), props.aside), children);
}

/** A field that keeps its words in the address, so that what is shown can be linked to. */
export function filterBox(label, view, words) {
  const id = `filter-${view.replace(/[^a-z]+/gi, "-")}`;
  return h("span", { class: "filter" }, h("label", { for: id }, label), h("input", { id, type: "search", value: words, autocomplete: "off", spellcheck: "false", oninput: (event) => showWords(view, event.target.value) }));
}

// In place of the address before: going back leads to the view before, not to each letter.
function showWords(view, words) {
  history.replaceState(null, "", `#${view}/${encodeURIComponent(words)}`);
  redraw();
}

const MOST_ROWS = 100;

/** The first of many rows, and how to get at the others: all of them at once are slow to draw. */
export function first(rows, all, href) {
  if (all || rows.length <= MOST_ROWS) return [rows, null];
  return [rows.slice(0, MOST_ROWS), h("p", { class: "pages quiet" }, `The first ${MOST_ROWS} of ${rows.length}. `, h("a", { href }, "Show all"))];
}

/** On a narrow screen each row becomes a card, and each cell tells the head of its column. */
export function table(caption, heads, rows) {
  for (const row of rows) row.children.forEach((cell, place) => { cell.props["data-head"] = heads[place]?.text ?? heads[place] ?? ""; });
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: "cards" }, h("caption", { class: "unseen" }, caption),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col", class: head.class }, head.text ?? head)))),
      h("tbody", null, rows)));
}
