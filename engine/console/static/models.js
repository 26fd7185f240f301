// Models: which version answers, what it is worth, where it came from.

import { actionButton } from "./dialogs.js";
import { h } from "./dom.js";
import { bytes, count, moment, number, pretty } from "./format.js";
import { ask, live } from "./live.js";
import { badge, empty, filterBox, first, jobLink, loaded, panel, table, time } from "./parts.js";

export function models([name, words, extent]) {
  const answer = ask("/api/models", "models");
  return [h("h1", { class: "view-title", key: "title" }, "Models"), loaded(answer, (all) => {
    if (!all.length) return empty("There are no models", "Declare one in configs/models.yaml; docs/learning.md says how.");
    const chosen = all.find((one) => one.name === name) ?? all[0];
    const url = `/api/models/${encodeURIComponent(chosen.name)}`;
    return [summaries(all, chosen, words ?? "", extent === "all"), h("div", { key: url }, loaded(ask(url, "models"), model))];
  })];
}

function summaries(all, chosen, words, whole) {
  if (all.length === 1) return null;
  const found = all.filter((one) => one.name.includes(words) || one.description.includes(words));
  const [shown, more] = first(found, whole, `#models/${encodeURIComponent(chosen.name)}/${encodeURIComponent(words)}/all`);
  return panel("All models", { aside: all.length > 10 && filterBox("Models with", `models/${encodeURIComponent(chosen.name)}`, words) }, shown.length
    ? table("All models", ["Model", "State", "Worth (95 %)", { text: "Versions", class: "n" }, "Latest made"], shown.map((one) => h("tr", { key: one.name },
      h("th", { scope: "row" }, h("a", { href: `#models/${encodeURIComponent(one.name)}${words && `/${encodeURIComponent(words)}`}`, "aria-current": one === chosen ? "true" : null }, one.name)),
      h("td", null, champion(one)),
      h("td", null, one.metric ? [`${one.metric.name} ${number(one.metric.value)} `, h("span", { class: "quiet" }, `${number(one.metric.low)} to ${number(one.metric.high)}`)] : "–"),
      h("td", { class: "n" }, count(one.versions)),
      h("td", null, time(one.changed_at_us, live.pulse.at_us)))))
    : empty("No model has that in its name or description", ""), more);
}

const champion = (one) => one.champion !== null ? badge("ok", `version ${one.champion} answers`) : badge("off", one.trainable ? "not trained yet" : "features only");

function model(one) {
  const buttons = h("div", { class: "buttons" },
    one.trainable && actionButton("Retrain", "retrain", { model: one.name }, null, { "aria-label": `Retrain ${one.name}` }),
    one.trainable && one.champion !== null && actionButton("Look for drift", "check-drift", { model: one.name }, null, { "aria-label": `Look for drift of ${one.name}` }),
    one.champion_before !== null && actionButton(`Roll back to ${one.champion_before}`, "set-champion", { model: one.name, version: one.champion_before, expected: one.champion }, { title: `Roll ${one.name} back to version ${one.champion_before}?`, text: `Version ${one.champion} answers now. No call is lost in between.` }));
  return panel(one.name, { aside: buttons },
    h("p", { class: "panel-text" }, one.description || h("span", { class: "quiet" }, "No description.")),
    h("p", { class: "model-state" }, champion(one), h("span", { class: "quiet" }, ` for each ${one.entity}`), one.trainable && h("a", { href: `#drift/${encodeURIComponent(one.name)}` }, "Drift")),
    table(`Versions of ${one.name}`, ["Version", "From", "Worth (95 %)", "Trained on", "Made", ""], one.versions.map((version) => row(one, version))),
    one.versions.map((version) => version.trained && lineage(one, version)),
    one.changes.length > 0 && h("details", { class: "fold" }, h("summary", null, `Log of ${one.name}`), h("ul", { class: "log" }, one.changes.map((change, place) => h("li", { key: `${change.at_us}/${place}` }, time(change.at_us), h("span", null, ` ${change.change}${change.version ? `, version ${change.version}` : ""} `), h("span", { class: "quiet" }, change.detail))))));
}

function row(one, version) {
  const trained = version.trained;
  const main = trained?.metrics.slice(0, 2) ?? [];
  const promotable = trained && version.version !== one.champion;
  return h("tr", { key: version.version },
    h("th", { scope: "row" }, `${version.version} `, version.aliases.map((alias) => badge(alias === "champion" ? "ok" : "busy", alias))),
    h("td", null, trained ? `${trained.estimator}, ${trained.cause}` : `${version.source}: ${version.features.length} features`),
    h("td", null, main.length ? main.map((metric) => h("p", { class: "metric" }, `${metric.name} ${number(metric.value)} `, h("span", { class: "quiet" }, `${number(metric.low)} to ${number(metric.high)}`))) : "–"),
    h("td", null, trained ? `${count(trained.rows_fitted)} rows, tested on ${count(trained.rows_tested)}` : "–"),
    h("td", null, time(version.created_at_us, live.pulse.at_us)),
    h("td", null, promotable && actionButton("Promote", "set-champion", { model: one.name, version: version.version, expected: one.champion }, { title: `Have version ${version.version} of ${one.name} answer?`, text: one.champion ? `It takes the place of version ${one.champion}, which can be gone back to.` : "Nothing answers by a champion yet." }, { "aria-label": `Promote version ${version.version} of ${one.name}` })));
}

function lineage(one, version) {
  const trained = version.trained;
  const most = Math.max(...trained.importance.map(([, value]) => value), 1e-12);
  const before = new Map(trained.champion_metrics.map((metric) => [metric.name, metric]));
  return h("details", { class: "fold", key: `lineage-${version.version}` }, h("summary", null, `Version ${version.version}: metrics and lineage`),
    h("div", { class: "columns even" },
      h("div", null, h("h3", null, "On held-out rows"), table(`Metrics of version ${version.version}`, ["Metric", { text: "This version", class: "n" }, { text: "Champion then", class: "n" }], trained.metrics.map((metric) => h("tr", { key: metric.name }, h("th", { scope: "row" }, metric.name), h("td", { class: "n" }, number(metric.value)), h("td", { class: "n" }, number(before.get(metric.name)?.value))))),
        h("h3", null, "What matters to it"), h("ul", { class: "bars" }, trained.importance.map(([name, value]) => h("li", { key: name }, h("span", { class: "bars-name" }, name), h("span", { class: "bars-line", "aria-hidden": "true" }, h("span", { style: { width: `${Math.max(0, (value / most) * 100).toFixed(1)}%` } })), h("span", { class: "bars-value" }, number(value)))))),
      h("div", null, h("h3", null, "Where it came from"), h("dl", { class: "facts" },
        h("dt", null, "Training"), h("dd", null, jobLink(trained.job_id), ` (${trained.cause})`),
        trained.drift_report_id && [h("dt", null, "Drift report"), h("dd", null, h("a", { href: `#drift/${encodeURIComponent(one.name)}/${trained.drift_report_id}` }, "what had drifted"))],
        h("dt", null, "Window"), h("dd", null, `${moment(trained.trained_from_us)} to ${moment(trained.trained_until_us)}`),
        h("dt", null, "Data as of commit"), h("dd", null, count(trained.training_commit_seq)),
        h("dt", null, "Artifact"), h("dd", null, `${trained.artifact}, ${bytes(trained.size_bytes)}`),
        h("dt", null, "SHA-256"), h("dd", { class: "mono break" }, trained.sha256),
        h("dt", null, "Features"), h("dd", null, version.features.join(", "))),
        h("details", { class: "fold" }, h("summary", null, "Label, rows, libraries"), h("pre", { tabindex: "0" }, pretty(trained.lineage))))));
}
