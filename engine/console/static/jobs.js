// Jobs, one job, and messages that were refused.

import { actionButton } from "./dialogs.js";
import { h } from "./dom.js";
import { bytes, count, duration, pretty } from "./format.js";
import { ask, live } from "./live.js";
import { badge, empty, jobBadge, jobLink, loaded, panel, place, progressBar, shape, stack, table, time } from "./parts.js";

const STATES = ["", "running", "queued", "scheduled", "succeeded", "failed", "dead", "cancelled"];
const FRESH_MS = 4000;

export function jobs([id, state, before, lettersBefore]) {
  return id ? [job(id)] : [list(state ?? "", before ?? ""), deadLetters(`#jobs//${state ?? ""}/${before ?? ""}`, lettersBefore ?? "")];
}

function list(state, before) {
  const filter = h("nav", { class: "chips", "aria-label": "Jobs by state" }, STATES.map((one) =>
    h("a", { href: one ? `#jobs//${one}` : "#jobs", "aria-current": one === state ? "true" : null, key: one }, one || "all")));
  const answer = ask(`/api/jobs?state=${encodeURIComponent(state)}&before=${encodeURIComponent(before)}`, "jobs", FRESH_MS);
  return h("div", { key: `list-${state}-${before}` }, h("h1", { class: "view-title" }, "Jobs"), panel("Latest jobs", {}, filter, loaded(answer, (page) => page.jobs.length
    ? [table("Latest jobs", ["State", "Job", "Pool and worker", "Attempt", "Accepted", "Took", ""], page.jobs.map(row)),
      h("p", { class: "pages" }, before && h("a", { href: `#jobs//${state}` }, "Latest"), page.next_before && h("a", { href: `#jobs//${state}/${page.next_before}` }, "Older"))]
    : empty(state ? `No job is ${state}` : "No job has been accepted yet", "An upload, a training or a look for drift makes one; so does python main.py jobs submit."))));
}

function row(one) {
  const now = live.pulse.at_us;
  const until = one.finished_at_us ?? now;
  return h("tr", { key: one.job_id },
    h("td", null, jobBadge(one.state)),
    h("td", null, h("b", null, one.job_type), " ", jobLink(one.job_id), one.progress !== null && one.state === "RUNNING" && progressBar(one.progress, one.progress_total, `Progress of ${one.job_type}`), one.error_message && h("p", { class: "quiet clip" }, one.error_message)),
    h("td", null, one.pool, one.slot && ` · ${one.slot}`),
    h("td", null, one.run > 1 ? `${one.attempt}, run ${one.run}` : count(one.attempt)),
    h("td", null, time(one.accepted_at_us, now)),
    h("td", null, one.started_at_us ? duration((until - one.started_at_us) / 1e6) : "–"),
    h("td", null, actions(one)));
}

const FINAL = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "DEAD"]);

function actions(one) {
  if (!FINAL.has(one.state)) {
    return one.cancel_requested ? badge("warn", "cancelling") : actionButton("Cancel", "cancel-job", { job_id: one.job_id }, { title: `Cancel this ${one.job_type} job?`, text: "What it has done so far is dropped. It can be run again." }, { "aria-label": `Cancel job ${one.job_id}` });
  }
  return one.state === "SUCCEEDED" ? null : actionButton("Retry", "retry-job", { job_id: one.job_id }, null, { "aria-label": `Retry job ${one.job_id}` });
}

function job(id) {
  const answer = ask(`/api/jobs/${encodeURIComponent(id)}`, "jobs", FRESH_MS);
  return h("div", { key: id }, h("p", { class: "crumb" }, h("a", { href: "#jobs" }, "Jobs"), " / ", h("span", { class: "mono" }, id)), loaded(answer, whole));
}

function whole(one) {
  const fact = (name, value) => value ? [h("dt", null, name), h("dd", null, value)] : null;
  const took = one.started_at_us && one.finished_at_us ? duration((one.finished_at_us - one.started_at_us) / 1e6) : "";
  return [
    h("div", { class: "title-row", key: "title" }, h("h1", { class: "view-title" }, one.job_type), jobBadge(one.state), h("span", { class: "grow" }), actions(one)),
    standing(one),
    panel("Facts", {}, h("dl", { class: "facts wide-facts" },
      fact("Accepted", time(one.accepted_at_us, live.pulse.at_us)),
      fact("Due", one.due_at_us && time(one.due_at_us)),
      fact("Started", one.started_at_us && time(one.started_at_us, live.pulse.at_us)),
      fact("Took", took),
      fact("Pool and worker", `${one.pool}${one.slot ? ` · ${one.slot}` : ""}`),
      fact("Run and attempt", `run ${one.run}, attempt ${one.attempt}`),
      fact("Charged failures", `${one.failures} of ${one.max_attempts}`),
      fact("Progress", one.progress !== null && `${count(one.progress)}${one.progress_total ? ` of ${count(one.progress_total)}` : ""} ${one.note}`),
      fact("Error", one.error_code && `${one.error_code}: ${one.error_message}`),
      fact("Request", one.request_id))),
    panel("Attempts", {}, one.attempts.length
      ? [h("ol", { class: "story" }, one.attempts.map(attempt)), one.attempts_left_out > 0 && h("p", { class: "quiet" }, `${one.attempts_left_out} earlier ones are left out.`)]
      : empty("No attempt has ended yet", "")),
    panel("Payload", {}, h("pre", { class: "block", tabindex: "0" }, pretty(one.payload))),
    one.result && panel("Result", {}, h("pre", { class: "block", tabindex: "0" }, pretty(one.result))),
  ];
}

// What a job that has not just ended well waits for, and what there is to do.
function standing(one) {
  const [state, text] = {
    QUEUED: ["", one.attempt ? "It waits for a free worker, to be tried again with the same request." : "It waits for a free worker."],
    SCHEDULED: ["", one.attempt ? "Its last attempt ended badly. It is tried again by itself, later each time." : "It is not due yet."],
    FAILED: ["failed", "It ended with an error that another attempt would not mend, and is not tried again by itself. Mend the cause, then retry it: it runs anew with the same request."],
    DEAD: ["failed", `It was given up: ${count(one.failures)} of its attempts failed, as many as may, and it is not tried again by itself. Mend what the attempts below tell, then retry it: it runs anew with the same request.`],
  }[one.state] ?? [];
  return text && h("p", { class: `note ${state}`, key: "standing" }, state && shape(state), text);
}

function attempt(one) {
  const good = one.cause === "completed";
  return h("li", { key: `${one.run}/${one.attempt}` },
    h("div", { class: "story-head" }, h("h3", null, `Attempt ${one.attempt}${one.run > 1 ? ` of run ${one.run}` : ""}`), badge(good ? "ok" : "failed", one.cause), !good && h("span", { class: "quiet" }, one.charged ? "charged to the job" : "not charged"), time(one.ended_at_us, live.pulse.at_us)),
    h("p", null, one.slot ? `On ${one.slot}${one.pid ? `, process ${one.pid}` : ""}` : "Nobody had it", one.started_at_us ? `, for ${duration((one.ended_at_us - one.started_at_us) / 1e6)}` : "", one.detail && `: ${one.detail}`, one.stack && place(one.stack) && [". It was in ", h("code", null, place(one.stack))]),
    one.stack && stack(one.stack, "Stack", one.attempt === 1));
}

// Topic, partition and offset; what follows names the broker, and is the same for all.
const origin = (id) => id.split("@")[0];

function deadLetters(here, before) {
  const answer = ask(`/api/dead-letters?before=${encodeURIComponent(before)}`, "dead_letters");
  return h("div", { key: `letters-${before}` }, panel("Refused messages", {}, h("p", { class: "quiet panel-text" }, "Messages from Kafka that are not events. They are kept with their bytes, and can be taken in after a fix."), loaded(answer, ({ letters, pending, reasons, next_before }) => letters.length
    ? [h("p", { class: "panel-text" }, "By reason: ", reasons.map((one, rank) => [rank > 0 && ", ", h("b", { key: one.reason }, one.reason), ` ${count(one.letters)}`, h("span", { class: "quiet" }, " last ", time(one.latest_us, live.pulse.at_us))]), "."),
      table("Refused messages", ["Received", "Why", "Message", ""], letters.map((one) => h("tr", { key: one.dead_letter_id },
      h("td", null, time(one.received_at_us, live.pulse.at_us)),
      h("td", null, h("b", null, one.reason), h("p", { class: "quiet clip" }, one.detail)),
      h("td", null, h("code", { class: "clip payload" }, one.payload), h("span", { class: "quiet", title: one.dead_letter_id }, ` ${bytes(one.payload_size_bytes)} · ${origin(one.dead_letter_id)}`)),
      h("td", null, actionButton("Take in", "replay-dead-letter", { dead_letter_id: one.dead_letter_id }, null, { "aria-label": `Take in message ${one.dead_letter_id}` }))))),
      h("p", { class: "pages" }, h("span", { class: "quiet" }, `${count(pending)} in all. `, pending > letters.length && ["Many at once: ", h("code", null, "python main.py dead-letters replay --all"), "."]), before && h("a", { href: here }, "Latest messages"), next_before && h("a", { href: `${here}/${encodeURIComponent(next_before)}` }, "Older messages"))]
    : empty("No message has been refused", "A broken one never holds up those beside it."))));
}
