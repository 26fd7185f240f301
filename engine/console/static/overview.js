// The first thing seen: how the engine is, what it does now, and what has just happened to it.

import { h } from "./dom.js";
import { ago, bytes, count, duration, number, rate } from "./format.js";
import { live } from "./live.js";
import { badge, empty, jobAddress, panel, shape, sparkline, table, time } from "./parts.js";
import { RECENT_US, askEnds, findLoss, findLost, isGivenUp, replacements, tellEnd } from "./story.js";
import { workers } from "./workers.js";

const MOST_LEAVES = 16;
const MOST_NAMES = 3;
const FLOOD_S = 10;
const LEAST_FLOOD = 1;
const MANNED = new Set(["idle", "running", "leaving"]);

export function overview() {
  const pulse = live.pulse;
  const replaced = askEnds();
  return [
    headline(pulse, replaced.data ?? []),
    numbers(pulse),
    h("div", { class: "columns", key: "columns" },
      h("div", { class: "column wide" }, workers(pulse), replacements(pulse, replaced), queue(pulse)),
      h("div", { class: "column" }, tree(pulse), outages(pulse), totals(pulse))),
  ];
}

/** The engine in a sentence or two. Also what is read aloud when it changes. */
export function summary(pulse, ends) {
  if (pulse.phase === "stopping") return { state: "warn", title: "The engine is stopping", text: "It finishes what it has and writes it. This page comes back with the engine." };
  if (pulse.phase === "starting") return { state: "starting", title: "The engine is starting", text: "The parts below come up one after the other." };
  const broken = leaves(pulse.tree).filter((one) => one.state === "failed");
  const weak = leaves(pulse.tree).filter((one) => one.state === "warn");
  if (broken.length) return { state: "failed", title: `${names(broken)} ${broken.length > 1 ? "do" : "does"} not work`, text: details(broken) };
  const [parts, slots] = [weak.filter((one) => !isSlot(pulse, one)), weak.filter((one) => isSlot(pulse, one))];
  const last = findLoss(ends);
  if (parts.length) return { state: "warn", title: `Working, but look at ${names(parts)}`, text: [details(parts), last && `${ago(last.ended_at_us, pulse.at_us)}: ${tellEnd(last)}`].filter(Boolean).join(" · ") };
  const refused = tellRefused(pulse.points);
  if (refused) return refused;
  if (last) return { ...tellLoss(last, pulse), job_id: last.job_id };
  const back = pulse.outages.find((one) => one.until_us && pulse.at_us - one.until_us < RECENT_US);
  if (back) return { state: "ok", title: `${partOf(pulse, back)} was away and is back ${ago(back.until_us, pulse.at_us)}`, text: `It did not work for ${tellLength(back)}: ${back.detail}. ${tellWork(pulse)}` };
  if (slots.length) return { state: "warn", title: `Working, without ${names(slots)}`, text: details(slots) };
  return { state: "ok", title: "Everything works", text: tellWork(pulse), dead: (pulse.pools ?? []).reduce((sum, one) => sum + one.dead, 0) };
}

const sum = (values) => values.reduce((total, one) => total + one, 0);

function tellRefused(points) {
  const artifacts = sum(points.refused_artifacts);
  if (artifacts) return { state: "warn", title: "Working, but artifacts of models are refused", text: "A part of a version was missing or not what was registered: that version does not answer. The log names it beside “not scored”; roll back under Models, and see Artifact refused in docs/runbook.md." };
  const [bad, good] = [points.refused_per_s, points.events_per_s].map((values) => sum(values.slice(-FLOOD_S)) / FLOOD_S);
  if (bad < LEAST_FLOOD || bad < (bad + good) / 10) return null;
  return { state: "warn", title: "Working, but messages are refused", text: `${rate(bad)} a second, ${number((100 * bad) / (bad + good))} % of what comes. They are kept with the reason, and can be taken in after a fix: see Jobs.` };
}

function tellLoss(last, pulse) {
  const text = tellEnd(last);
  const when = ago(last.ended_at_us, pulse.at_us);
  if (isGivenUp(last)) return { state: "warn", title: `A job was given up ${when}`, text };
  const lost = findLost(pulse.workers);
  const absent = lost.filter((one) => !MANNED.has(one.state)).length;
  if (lost.length > 1) return { state: absent ? "warn" : "ok", title: tellMany(lost.length, absent, when), text: `The latest: ${text}` };
  if (last.replaced_at_us) return { state: "ok", title: `A worker was lost and replaced ${when}`, text };
  return { state: "warn", title: "A worker was lost and is being replaced", text };
}

function tellMany(lost, absent, when) {
  if (!absent) return `${count(lost)} workers were lost and replaced, the last ${when}`;
  return `${count(lost)} workers were lost ${absent < lost ? `and ${count(absent)} of them not yet replaced` : "and are being replaced"}`;
}

function tellWork(pulse) {
  const busy = pulse.workers.filter((one) => one.job).length;
  const lag = pulse.points.lag_messages.at(-1) ?? 0;
  const now = pulse.points.events_per_s.at(-1) ?? 0;
  const intake = now > 0 ? `${rate(now)} events a second come in, ${lag > 2 * now + 10 ? `${count(lag)} wait` : "none is left waiting"}` : lag > 0 ? `${count(lag)} events wait` : "No events come in";
  return `${intake}. ${busy} of ${pulse.workers.length} workers ${busy === 1 ? "has" : "have"} a job.`;
}

function names(nodes) {
  const named = nodes.slice(0, MOST_NAMES).map((one) => one.title.split(",")[0]);
  const others = nodes.length - named.length;
  return [...named, ...(others > 0 ? [`${others} more`] : [])].join(" and ");
}

const details = (nodes) => [...new Set(nodes.map((one) => one.detail))].slice(0, MOST_NAMES).join(" · ");

const isSlot = (pulse, node) => pulse.workers.some((one) => one.slot === node.name);

function leaves(node) {
  return node.children.length ? node.children.flatMap(leaves) : [node];
}

function headline(pulse, ends) {
  const { state, title, text, job_id, dead } = summary(pulse, ends);
  const more = job_id ? [" ", h("a", { href: jobAddress(job_id) }, "See the job"), "."] : dead ? [" ", h("a", { href: "#jobs//dead" }, dead === 1 ? "One job was given up" : `${count(dead)} jobs were given up`), "."] : [];
  return h("div", { class: `headline ${state}`, key: "headline" }, shape(state), h("div", null, h("h1", { id: "title" }, title), h("p", null, text, more)));
}

function numbers(pulse) {
  const points = pulse.points;
  const minutes = Math.round((points.events_per_s.length * pulse.interval_s) / 6) / 10;
  const tile = (label, values, format, nothing, note) => {
    const known = values.filter((one) => one !== null);
    const latest = values.slice(-5).filter((one) => one !== null).at(-1);
    const told = known.length ? `${label}, last ${minutes} minutes: from ${format(Math.min(...known))} to ${format(Math.max(...known))}, now ${format(latest ?? null)}` : `${label}: ${nothing}`;
    return h("div", { class: "tile", key: label },
      h("p", { class: "tile-label" }, label),
      h("p", { class: "tile-value" }, latest === undefined ? "–" : format(latest)),
      sparkline(values, told),
      h("p", { class: "tile-note" }, known.length ? note : nothing));
  };
  return h("section", { class: "tiles", key: "numbers", "aria-label": "Numbers of the last two minutes" },
    tile("Events per second", points.events_per_s, rate, "none yet", `${count(pulse.totals.events)} since the start`),
    tile("Messages waiting", points.lag_messages, count, "none yet", "in Kafka, not yet committed"),
    tile("Commit, p99", points.commit_p99_s, duration, "no commit yet", "one DuckDB transaction"),
    tile("Feature freshness, p99", points.freshness_p99_s, duration, "no event yet", `event to answer; half within ${duration(points.freshness_p50_s.filter((one) => one !== null).at(-1) ?? null)}`),
    tile("GetFeatures, p99", points.get_features_p99_s, duration, "nobody asks", `${rate(points.calls_per_s.at(-1) ?? 0)} calls per second`),
    tile("Event loop delay, p99", points.loop_lag_p99_s, duration, "not measured yet", "how late the engine wakes up"));
}

function queue(pulse) {
  if (pulse.pools === null) return panel("Queue", {}, h("p", { class: "note warn" }, shape("warn"), pulse.phase === "running" ? "Redis is away: jobs are accepted all the same and handed out when it is back." : "It is shown while the engine runs."));
  if (!pulse.pools.length) return panel("Queue", {}, empty("No job has been queued yet", "An upload, a training or a look for drift makes one."));
  return panel("Queue", { aside: h("a", { href: "#jobs" }, "All jobs") }, table("Jobs by pool", ["Pool", { text: "Ready", class: "n" }, { text: "Delayed", class: "n" }, { text: "Running", class: "n" }, { text: "Dead", class: "n" }, { text: "Oldest waits", class: "n" }],
    pulse.pools.map((one) => h("tr", { key: one.pool }, h("th", { scope: "row" }, one.pool), h("td", { class: "n" }, count(one.ready)), h("td", { class: "n" }, count(one.delayed)), h("td", { class: "n" }, count(one.leased)), h("td", { class: one.dead ? "n bad" : "n" }, one.dead ? [shape("failed"), count(one.dead)] : "0"), h("td", { class: "n" }, one.ready ? duration(one.oldest_ready_age_s) : "–")))));
}

function tree(pulse) {
  return panel("Nursery tree", {}, h("p", { class: "quiet panel-text" }, "Each part runs inside the one above it and ends before it."), h("ul", { class: "tree" }, branch(pulse.tree)));
}

function branch(node) {
  const title = [shape(node.state), h("span", { class: "tree-title" }, node.title), h("span", { class: "unseen" }, `: ${node.state}`), h("span", { class: "tree-detail" }, node.detail)];
  const inner = node.children.length ? h("ul", null, node.children.map(branch)) : null;
  if (inner && (node.name === "servers" || node.children.length > MOST_LEAVES)) return h("li", { key: node.name }, h("details", null, h("summary", { class: "tree-node" }, title), inner));
  return h("li", { key: node.name, "data-part": node.name }, h("div", { class: "tree-node" }, title), inner);
}

const partOf = (pulse, outage) => find(pulse.tree, outage.part)?.title ?? outage.part;

const find = (node, name) => (node.name === name ? node : node.children.map((one) => find(one, name)).find(Boolean));

const tellLength = (outage) => duration((outage.until_us - outage.since_us) / 1e6);

function outages(pulse) {
  if (!pulse.outages.length) return null;
  return panel("What happened to parts", {}, h("ol", { class: "log" }, pulse.outages.map((one) => h("li", { key: `${one.part}${one.since_us}` },
    badge(one.until_us ? "off" : "warn", partOf(pulse, one)), " ", time(one.since_us, pulse.at_us), `, ${one.until_us ? `for ${tellLength(one)}` : "until now"}: ${one.detail}`))));
}

function totals(pulse) {
  const totals = pulse.totals;
  const one = (name, value) => [h("dt", null, name), h("dd", null, value)];
  return panel("Since the start", {}, h("dl", { class: "facts" },
    one("Up", duration((pulse.at_us - pulse.started_at_us) / 1e6)),
    one("Jobs ended", count(totals.jobs)),
    one("Workers replaced", count(totals.replaced_workers)),
    one("Predictions", count(totals.predictions)),
    one("Messages refused", h("a", { href: "#jobs" }, count(totals.refused_messages))),
    one("Entities in memory", count(totals.entities)),
    one("Data file", `${bytes(totals.file_bytes)} and ${bytes(totals.log_bytes)} of log`),
    one("Engine", `${pulse.version}, process ${pulse.pid}`),
    one("Jobs per second", number(pulse.points.jobs_per_s.at(-1) ?? 0))));
}
