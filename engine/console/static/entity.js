// One user: features as they would be answered now, events, predictions.

import { h } from "./dom.js";
import { count, number } from "./format.js";
import { ask, live } from "./live.js";
import { badge, empty, loaded, panel, table, time } from "./parts.js";

const FRESH_MS = 3000;

export function entity([key, model]) {
  const known = ask("/api/models", "models");
  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    location.hash = `entity/${encodeURIComponent(form.get("key").trim())}/${encodeURIComponent(form.get("model"))}`;
  };
  return [
    h("h1", { class: "view-title", key: "title" }, "Entity"),
    h("form", { class: "search", onsubmit: submit, key: "form" },
      h("label", { for: "key" }, "User"), h("input", { id: "key", name: "key", inputmode: "numeric", required: true, pattern: "-?[0-9]{1,19}", value: key ?? "", title: "a whole number", autocomplete: "off" }),
      h("label", { for: "model" }, "Features of"), h("select", { id: "model", name: "model" }, h("option", { value: "", key: "" }, "all models"), (known.data ?? []).map((one) => h("option", { value: one.name, key: one.name, selected: one.name === model || null }, one.name))),
      h("button", { type: "submit", class: "primary" }, "Show")),
    key ? h("div", { key: `${key}/${model}` }, loaded(ask(`/api/entity?key=${encodeURIComponent(key)}&model=${encodeURIComponent(model ?? "")}`, null, FRESH_MS), whole)) : empty("Which user?", "Features, events and predictions of one user, as the engine would answer them now. The demo has users from 1 on."),
  ];
}

const STATUS = { PRESENT: "ok", STALE: "warn", MISSING: "off" };

function whole(one) {
  const now = live.pulse.at_us;
  return h("div", { class: "columns" },
    h("div", { class: "column wide" },
      panel("Features", {}, h("p", { class: "quiet panel-text" }, `As of commit ${count(one.commit_seq)}. The same question for this moment gives the same answer at any later time.`),
        table("Features", ["Feature", "Value", "Status", "Newest event"], one.features.map((feature) => h("tr", { key: feature.name }, h("th", { scope: "row" }, feature.name), h("td", { class: "mono" }, feature.value === "null" ? "–" : feature.value), h("td", null, badge(STATUS[feature.status] ?? "warn", feature.status.toLowerCase())), h("td", null, feature.event_time_us ? time(feature.event_time_us, now) : "–"))))),
      panel("Predictions", {}, one.predictions.length
        ? table("Predictions", ["When", "Model", "Prediction", { text: "Score", class: "n" }], one.predictions.map((made) => h("tr", { key: made.prediction_id }, h("td", null, time(made.predicted_at_us, now)), h("td", null, `${made.model} version ${made.version}`, made.shadow && badge("off", "shadow")), h("td", { class: "mono" }, made.prediction), h("td", { class: "n" }, number(made.score)))))
        : empty("Nothing was predicted for this user", "FeatureService.Predict, or python main.py predict."))),
    h("div", { class: "column" }, panel("Events", {}, one.events.length
      ? h("ol", { class: "events" }, one.events.map((event, place) => h("li", { key: `${event.event_time_us}/${place}` }, time(event.event_time_us, now), h("b", null, event.action), event.value !== null && h("span", { class: "mono" }, number(event.value)), event.properties && event.properties !== "{}" && h("code", { class: "clip payload" }, event.properties))))
      : empty("No events", "This user has not been heard of, or long ago."),
      one.moved_before_us > 0 && h("p", { class: "quiet panel-text" }, "Of events before ", time(one.moved_before_us, now), " only those are here that features without a window rest on; the others have been moved, and python main.py history reads them."))));
}
