// The first thing seen: how the engine is, what it does now, and what has just happened to it.

import { actionButton } from "./dialogs.js";
import { h } from "./dom.js";
import { ago, bytes, count, duration, number, rate } from "./format.js";
import { ask, known, live } from "./live.js";
import { badge, empty, jobBadge, jobLink, loaded, panel, place, progressBar, shape, sparkline, stack, stackText, table, time, workerState } from "./parts.js";

const RECENT_S = 60;

const ENDS = {
  died: "Its process died",
  silent: "It gave no sign of life for as long as its lease",
  stalled: "Its job made no progress",
  memory: "It took more memory than it may",
  cancelled: "Its job was cancelled and did not stop",
  recycled: "It left as planned",
  shutdown: "It was told to leave",
  host_lost: "Its machine was lost",
  out_of_reach: "It could not reach the engine",
  engine_lost: "The engine before this one was lost",
  start_failed: "It could not be started",
  error: "It failed",
};
const FROM_OUTSIDE = /killed by SIGKILL/;
const DRAINED = new Set(["draining", "drained"]);
const PLANNED = new Set(["recycled", "shutdown", "completed"]);

const NO_WORKERS = {
  starting: ["Workers are not there yet", "They start with the engine."],
  running: ["There are no workers", "Jobs wait until a worker joins, here or from another machine."],
  stopping: ["The workers are leaving", "What they had in hand is finished, or goes on at the next start."],
};

export function overview() {
  const pulse = live.pulse;
  const replaced = askEnds();
  return [
    headline(pulse, replaced.data ?? []),
    numbers(pulse),
    h("div", { class: "columns", key: "columns" },
      h("div", { class: "column wide" }, workers(pulse), replacements(pulse, replaced), queue(pulse)),
      h("div", { class: "column" }, tree(pulse), totals(pulse))),
  ];
}

/** Ask how workers ended. What became of their jobs is looked at closely only for a while: each
 * answer costs the engine tens of milliseconds, and jobs come and go all the time. */
export function askEnds() {
  const url = "/api/replacements";
  const ends = known(url)?.data;
  const isRecent = !ends || ends.some((one) => live.pulse.at_us - one.ended_at_us < RECENT_S * 1e6);
  return ask(url, isRecent ? "replacements" : "workers", 60_000);
}

/** The engine in a sentence or two. Also what is read aloud when it changes. */
export function summary(pulse, ends) {
  if (pulse.phase === "stopping") return { state: "warn", title: "The engine is stopping", text: "It finishes what it has and writes it. This page comes back with the engine." };
  if (pulse.phase === "starting") return { state: "starting", title: "The engine is starting", text: "The parts below come up one after the other." };
  const broken = leaves(pulse.tree).filter((one) => one.state === "failed");
  const weak = leaves(pulse.tree).filter((one) => one.state === "warn");
  if (broken.length) return { state: "failed", title: `${names(broken)} ${broken.length > 1 ? "do" : "does"} not work`, text: broken.map((one) => one.detail).join(" · ") };
  const [parts, slots] = [weak.filter((one) => !isSlot(pulse, one)), weak.filter((one) => isSlot(pulse, one))];
  const last = ends.find((one) => !PLANNED.has(one.cause) && pulse.at_us - one.ended_at_us < RECENT_S * 1e6);
  if (parts.length) return { state: "warn", title: `Working, but look at ${names(parts)}`, text: [...parts.map((one) => one.detail), last && `${ago(last.ended_at_us, pulse.at_us)}: ${tellEnd(last)}`].filter(Boolean).join(" · ") };
  if (last) return { state: last.replaced_at_us ? "ok" : "warn", title: last.replaced_at_us ? `A worker was lost and replaced ${ago(last.ended_at_us, pulse.at_us)}` : "A worker was lost and is being replaced", text: tellEnd(last) };
  if (slots.length) return { state: "warn", title: `Working, without ${names(slots)}`, text: slots.map((one) => one.detail).join(" · ") };
  const busy = pulse.workers.filter((one) => one.job).length;
  const lag = pulse.points.lag_messages.at(-1) ?? 0;
  const now = pulse.points.events_per_s.at(-1) ?? 0;
  const intake = now > 0 ? `${rate(now)} events a second come in, ${lag > 2 * now + 10 ? `${count(lag)} wait` : "none is left waiting"}` : lag > 0 ? `${count(lag)} events wait` : "No events come in";
  return { state: "ok", title: "Everything works", text: `${intake}. ${busy} of ${pulse.workers.length} workers ${busy === 1 ? "has" : "have"} a job.` };
}

function tellEnd(one) {
  const job = one.job_id ? ` Its job ${one.job_state ? `has ${one.job_state.toLowerCase()}` : "goes on"}; nothing was lost.` : " It had no job in hand.";
  const replaced = one.replaced_at_us ? ` A new one took its place after ${duration((one.replaced_at_us - one.ended_at_us) / 1e6)}.` : "";
  return `Worker ${one.slot} (process ${one.pid ?? "unknown"}): ${one.detail || ENDS[one.cause] || one.cause}.${replaced}${job}`;
}

const names = (nodes) => nodes.map((one) => one.title.split(",")[0]).join(" and ");

const isSlot = (pulse, node) => pulse.workers.some((one) => one.slot === node.name);

function leaves(node) {
  return node.children.length ? node.children.flatMap(leaves) : [node];
}

function headline(pulse, ends) {
  const { state, title, text } = summary(pulse, ends);
  return h("div", { class: `headline ${state}`, key: "headline" }, shape(state), h("div", null, h("h1", { id: "title" }, title), h("p", null, text)));
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

function workers(pulse) {
  const aside = actionButton("Restart workers", "restart-workers", {}, {
    title: "Restart the workers?", text: "One after the other, each at the end of its job. No job is lost or run anew.",
  });
  if (!pulse.workers.length) return panel("Workers", {}, empty(...NO_WORKERS[pulse.phase]));
  return panel("Workers", { aside }, h("ul", { class: "workers" }, pulse.workers.map((one) => worker(one, pulse))));
}

function worker(one, pulse) {
  const share = Math.max(0, Math.min(1, one.lease_remaining_s / pulse.lease_s));
  const short = one.pid !== null && share < 0.5;
  const end = one.last_end;
  return h("li", { class: "worker", key: one.slot, "data-slot": one.slot },
    h("div", { class: "worker-head" },
      h("h3", null, one.slot),
      badge(workerState(one.state), one.state),
      h("span", { class: "quiet" }, one.pid === null ? "no process" : `process ${one.pid}`, one.pool && ` · pool ${one.pool}`, one.host !== "local" && ` · on ${one.host}`),
      h("span", { class: "worker-memory quiet" }, one.memory_bytes !== null && bytes(one.memory_bytes)),
      drainButton(one)),
    one.pid !== null && one.state !== "starting"
      ? h("div", { class: "lease" },
        h("div", { class: short ? "meter short" : "meter", role: "meter", "aria-label": `Lease of ${one.slot}`, "aria-valuemin": 0, "aria-valuemax": pulse.lease_s, "aria-valuenow": one.lease_remaining_s.toFixed(1), "aria-valuetext": `${one.lease_remaining_s.toFixed(1)} seconds left` },
          h("span", { style: { width: `${(share * 100).toFixed(1)}%` } })),
        h("span", { class: "lease-text" }, short ? `silent: replaced in ${one.lease_remaining_s.toFixed(1)} s` : `lease ${one.lease_remaining_s.toFixed(1)} s`))
      : h("p", { class: "quiet lease-text" }, one.state === "drained" ? "Taken out of work until it is resumed." : one.starts_in_s ? `next start in ${duration(one.starts_in_s)}` : "a process is being started"),
    one.job ? jobInHand(one.job, pulse) : one.state === "idle" && h("p", { class: "quiet" }, "waits for a job"),
    end && h("div", { class: "last-end" },
      h("p", null, h("span", { class: "quiet" }, one.restarts === 0 ? "The one before ended " : one.restarts === 1 ? "Replaced once, " : `Replaced ${one.restarts} times, last `), time(end.ended_at_us, pulse.at_us), ": ", h("b", null, end.cause), end.detail && ` – ${end.detail}`),
      end.has_stack && lastStack(one)));
}

function drainButton(one) {
  if (DRAINED.has(one.state)) return actionButton("Resume", "resume-worker", { slot: one.slot }, null, { "aria-label": `Resume ${one.slot}` });
  return actionButton("Drain", "drain-worker", { slot: one.slot }, { title: `Drain ${one.slot}?`, text: "It ends its job, if it has one, and stays without a worker until it is resumed, or the engine is started anew." }, { "aria-label": `Drain ${one.slot}` });
}

// Asked for once it is opened; it belongs to this end of the slot's worker.
function lastStack(one) {
  const url = `/api/workers/${encodeURIComponent(one.slot)}/stack?of=${one.last_end.ended_at_us}`;
  return h("details", { class: "fold", ontoggle: (event) => event.target.open && ask(url) }, h("summary", null, "What it was doing"),
    known(url) && loaded(ask(url), (answer) => stackText(answer.stack)));
}

function jobInHand(job, pulse) {
  const told = job.progress_total ? `${count(job.progress)} of ${count(job.progress_total)}` : job.progress ? count(job.progress) : "";
  return h("div", { class: "job" },
    h("p", null, h("b", null, job.job_type), " ", jobLink(job.job_id), h("span", { class: "quiet" }, ` attempt ${job.attempt} of ${job.max_attempts > 100 ? "any number" : job.max_attempts}, for ${duration(Math.max(0, (pulse.at_us - job.started_at_us) / 1e6))}`), job.cancel_requested && badge("warn", "cancelling")),
    h("div", { class: "job-progress" }, progressBar(job.progress, job.progress_total, `Progress of ${job.job_type}`), h("span", { class: "quiet" }, told)),
    job.note && h("p", { class: "quiet note-text" }, job.note));
}

function replacements(pulse, answer) {
  return panel("What happened to workers", {}, loaded(answer, (ends) => ends.length
    ? h("ol", { class: "story" }, ends.map((one) => replacement(one, pulse)))
    : empty("No worker has ended since the data file began", "End one to see it replaced: kill -9 and the process number above. A stopped one (kill -STOP) is noticed when its lease runs out.")));
}

function replacement(one, pulse) {
  const planned = PLANNED.has(one.cause);
  const state = one.replaced_at_us ? (planned ? "off" : "ok") : "warn";
  return h("li", { key: `${one.worker_id}${one.ended_at_us}`, class: planned ? "planned" : "unplanned" },
    h("div", { class: "story-head" }, h("h3", null, `${one.slot}: ${one.cause}`), badge(state, one.replaced_at_us ? "replaced" : "not replaced"), time(one.ended_at_us, pulse.at_us)),
    h("ol", { class: "steps" },
      h("li", null, `${ENDS[one.cause] ?? one.cause} (process ${one.pid ?? "unknown"})`, one.detail && `: ${one.detail}`, ".", FROM_OUTSIDE.test(one.detail) && one.cause === "died" && " The engine did not do that: somebody sent it kill -9, or the machine ran out of memory.", place(one.stack) && [" It was in ", h("code", null, place(one.stack)), "."]),
      h("li", null, one.replaced_at_us ? `Process ${one.next_pid} took its place after ${duration((one.replaced_at_us - one.ended_at_us) / 1e6)}.` : "Nobody has taken its place yet."),
      h("li", null, one.job_id ? ["Its job ", one.job_type ? `${one.job_type} ` : "", jobLink(one.job_id), ` (attempt ${one.attempt}) `, one.job_state ? ["ended as ", jobBadge(one.job_state), one.job_last_attempt ? ` in attempt ${one.job_last_attempt} on ${one.job_last_slot ?? "a worker"}.` : "."] : "went back to the queue and goes on with the same request."] : "It had no job in hand.")),
    one.stack && stack(one.stack, "What it was doing when it ended"));
}

function queue(pulse) {
  if (pulse.pools === null) return panel("Queue", {}, h("p", { class: "note warn" }, shape("warn"), pulse.phase === "running" ? "Redis is away: jobs are accepted all the same and handed out when it is back." : "Not there."));
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
  if (node.name === "servers" && inner) return h("li", { key: node.name }, h("details", null, h("summary", { class: "tree-node" }, title), inner));
  return h("li", { key: node.name, "data-part": node.name }, h("div", { class: "tree-node" }, title), inner);
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
