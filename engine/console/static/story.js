// How workers ended: which one, why, who took its place, what became of its job, what to do.

import { h } from "./dom.js";
import { duration } from "./format.js";
import { ask, known, live } from "./live.js";
import { badge, empty, jobBadge, jobLink, loaded, panel, place, stack, time } from "./parts.js";

export const RECENT_US = 60e6;
const MOST_OPEN = 4;

const ENDS = {
  died: "died",
  silent: "gave no sign of life for as long as its lease",
  stalled: "made no progress with its job",
  memory: "took more memory than it may",
  cancelled: "did not stop when its job was cancelled",
  recycled: "left as planned",
  shutdown: "was told to leave",
  host_lost: "was lost with its machine",
  out_of_reach: "could not reach the engine",
  engine_lost: "was lost with the engine before this one",
  start_failed: "could not be started",
  error: "failed",
};
const REASONS = {
  silent: "It was stopped (kill -STOP), had no processor for so long, or a call into C kept Python’s lock.",
  stalled: "An endless loop, a deadlock or a call that hangs. A job that is only slow tells of its progress with job.advance(), or has a longer stall_s.",
  memory: "The limit is workers.memory_hard_bytes.",
  start_failed: "It is tried again by itself, later each time.",
};
const FROM_OUTSIDE = /killed by SIGKILL/;
const PLANNED = new Set(["recycled", "shutdown", "completed"]);

/** Ask how workers ended. What became of their jobs is looked at closely only for a while: each
 * answer costs the engine tens of milliseconds, and jobs come and go all the time. */
export function askEnds() {
  const url = "/api/replacements";
  const ends = known(url)?.data;
  return ask(url, !ends || ends.some(isRecent) ? "replacements" : "workers", 60_000);
}

const isRecent = (one) => live.pulse.at_us - one.ended_at_us < RECENT_US;

/** The latest end that nobody had planned, if it was a moment ago. */
export const findLoss = (ends) => ends.find((one) => !PLANNED.has(one.cause) && isRecent(one));

/** The slots whose worker was lost a moment ago; the story has the latest ends alone. */
export const findLost = (workers) => workers.filter((one) => one.last_end && !PLANNED.has(one.last_end.cause) && isRecent(one.last_end));

/** Whether the job that a worker had in hand will not be tried again by itself. */
export const isGivenUp = (one) => one.job_state === "DEAD";

/** An end in sentences. */
export function tellEnd(one) {
  const replaced = one.replaced_at_us ? ` A new one took its place after ${duration((one.replaced_at_us - one.ended_at_us) / 1e6)}.` : "";
  const job = one.job_id ? ` Its job ${one.job_type ?? ""} ${fate(one)}` : " It had no job in hand.";
  return `Worker ${one.slot} (process ${one.pid ?? "unknown"}) ${how(one)}.${replaced}${job}`;
}

const how = (one) => `${ENDS[one.cause] ?? one.cause}${one.detail ? `: ${one.detail}` : ""}`;

function fate(one) {
  if (!one.job_state) return "goes on; nothing was lost.";
  if (isGivenUp(one)) return `was given up after attempt ${one.job_last_attempt ?? one.attempt} and is not tried again by itself: mend the cause, then retry it.`;
  return `${{ SUCCEEDED: "has succeeded", FAILED: "has failed", CANCELLED: "was cancelled" }[one.job_state] ?? "has ended"} since.`;
}

function why(one) {
  if (one.cause === "died" && FROM_OUTSIDE.test(one.detail)) return "The engine did not do that: somebody sent it kill -9, its job did, or the machine ran out of memory.";
  return REASONS[one.cause];
}

export function replacements(pulse, answer) {
  return panel("What happened to workers", {}, loaded(answer, (ends) => ends.length
    ? [
      h("ol", { class: "story" }, ends.slice(0, MOST_OPEN).map((one) => replacement(one, pulse))),
      ends.length > MOST_OPEN && h("details", { class: "fold" }, h("summary", null, `${ends.length - MOST_OPEN} before these`), h("ol", { class: "story" }, ends.slice(MOST_OPEN).map((one) => replacement(one, pulse)))),
    ]
    : empty("No worker has ended since the data file began", "End one to see it replaced: kill -9 and the process number above. A stopped one (kill -STOP) is noticed when its lease runs out.")));
}

function replacement(one, pulse) {
  const planned = PLANNED.has(one.cause);
  const state = one.replaced_at_us ? (planned ? "off" : "ok") : "warn";
  const where = place(one.stack);
  return h("li", { key: `${one.worker_id}${one.ended_at_us}`, class: planned ? "planned" : "unplanned" },
    h("div", { class: "story-head" }, h("h3", null, `${one.slot}: ${one.cause}`), badge(state, one.replaced_at_us ? "replaced" : "not replaced"), time(one.ended_at_us, pulse.at_us)),
    h("ol", { class: "steps" },
      h("li", null, `${one.pid ? `Process ${one.pid}` : "It"} ${how(one)}.`, where && [" It was in ", h("code", null, where), "."], why(one) && ` ${why(one)}`),
      h("li", null, one.replaced_at_us ? `Process ${one.next_pid} took its place after ${duration((one.replaced_at_us - one.ended_at_us) / 1e6)}.` : "Nobody has taken its place yet."),
      h("li", null, one.job_id ? itsJob(one) : "It had no job in hand.")),
    one.stack && stack(one.stack, "What it was doing when it ended"));
}

function itsJob(one) {
  const job = ["Its job ", one.job_type ? `${one.job_type} ` : "", jobLink(one.job_id), ` (attempt ${one.attempt}) `];
  if (!one.job_state) return [...job, "went back to the queue and goes on with the same request."];
  const last = one.job_last_attempt ? ` in attempt ${one.job_last_attempt} on ${one.job_last_slot ?? "a worker"}.` : ".";
  return [...job, "ended as ", jobBadge(one.job_state), last, isGivenUp(one) && one.attempt === one.job_last_attempt && " It failed as often as it may: mend the cause, then retry it."];
}
