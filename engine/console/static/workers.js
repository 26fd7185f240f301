// The slots, and the worker in each.

import { actionButton } from "./dialogs.js";
import { h } from "./dom.js";
import { bytes, count, duration } from "./format.js";
import { ask, known, redraw } from "./live.js";
import { badge, empty, jobLink, loaded, panel, progressBar, stackText, time, workerState } from "./parts.js";

const DRAINED = new Set(["draining", "drained"]);
const MOST_WHOLE = 16;

const NO_WORKERS = {
  starting: ["Workers are not there yet", "They start with the engine."],
  running: ["There are no workers", "Jobs wait until a worker joins, here or from another machine."],
  stopping: ["The workers are leaving", "What they had in hand is finished, or goes on at the next start."],
};

const opened = new Set();

export function workers(pulse) {
  const aside = actionButton("Restart workers", "restart-workers", {}, {
    title: "Restart the workers?", text: "One after the other, each at the end of its job. No job is lost or run anew.",
  });
  if (!pulse.workers.length) return panel("Workers", {}, empty(...NO_WORKERS[pulse.phase]));
  const draw = pulse.workers.length > MOST_WHOLE ? brief : worker;
  return panel("Workers", { aside }, h("ul", { class: draw === brief ? "workers many" : "workers" }, pulse.workers.map((one) => draw(one, pulse))));
}

// Of many workers each is a line, and whole once it is opened.
function brief(one, pulse) {
  const toggle = (event) => {
    if (event.target.open) opened.add(one.slot);
    else opened.delete(one.slot);
    redraw();
  };
  return h("li", { key: one.slot, "data-slot": one.slot },
    h("details", { ontoggle: toggle },
      h("summary", { class: "brief" }, badge(workerState(one.state), one.slot),
        h("span", { class: isSilent(one, pulse) ? "bad" : "quiet" }, isSilent(one, pulse) ? `silent, ${one.lease_remaining_s.toFixed(1)} s left` : one.job ? one.job.job_type : one.state)),
      opened.has(one.slot) && body(one, pulse)));
}

function worker(one, pulse) {
  return h("li", { class: "worker", key: one.slot, "data-slot": one.slot }, body(one, pulse));
}

const isSilent = (one, pulse) => one.pid !== null && one.state !== "starting" && one.lease_remaining_s < 0.5 * pulse.lease_s;

const tellLease = (one, pulse) => `${isSilent(one, pulse) ? "silent: replaced in" : "lease"} ${one.lease_remaining_s.toFixed(1)} s`;

function body(one, pulse) {
  const share = Math.max(0, Math.min(1, one.lease_remaining_s / pulse.lease_s));
  const end = one.last_end;
  return [
    h("div", { class: "worker-head" },
      h("h3", null, one.slot),
      badge(workerState(one.state), one.state),
      h("span", { class: "quiet" }, one.pid === null ? "no process" : `process ${one.pid}`, one.pool && ` · pool ${one.pool}`, one.host !== "local" && ` · on ${one.host}`),
      h("span", { class: "worker-memory quiet" }, one.memory_bytes !== null && bytes(one.memory_bytes)),
      drainButton(one)),
    one.pid !== null && one.state !== "starting"
      ? h("div", { class: "lease" },
        h("div", { class: isSilent(one, pulse) ? "meter short" : "meter", role: "meter", "aria-label": `Lease of ${one.slot}`, "aria-valuemin": 0, "aria-valuemax": pulse.lease_s, "aria-valuenow": one.lease_remaining_s.toFixed(1), "aria-valuetext": `${one.lease_remaining_s.toFixed(1)} seconds left` },
          h("span", { style: { width: `${(share * 100).toFixed(1)}%` } })),
        h("span", { class: "lease-text" }, tellLease(one, pulse)))
      : h("p", { class: "quiet lease-text" }, one.state === "drained" ? "Taken out of work until it is resumed." : one.starts_in_s ? `next start in ${duration(one.starts_in_s)}` : "a process is being started"),
    one.job ? jobInHand(one.job, pulse) : one.state === "idle" && h("p", { class: "quiet" }, "waits for a job"),
    end && h("div", { class: "last-end" },
      h("p", null, h("span", { class: "quiet" }, one.restarts === 0 ? "The one before ended " : one.restarts === 1 ? "Replaced once, " : `Replaced ${one.restarts} times, last `), time(end.ended_at_us, pulse.at_us), ": ", h("b", null, end.cause), end.detail && ` – ${end.detail}`),
      end.has_stack && lastStack(one)),
  ];
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
