// Drift: features against time, and one feature then and now.

import { actionButton } from "./dialogs.js";
import { h, kept } from "./dom.js";
import { clock, count, moment, number } from "./format.js";
import { ask } from "./live.js";
import { badge, empty, jobLink, loaded, panel } from "./parts.js";

export function drift([name, report, feature, extent]) {
  const answer = ask("/api/models", "models");
  return [h("h1", { class: "view-title", key: "title" }, "Drift"), loaded(answer, (all) => {
    const watched = all.filter((one) => one.trainable);
    if (!watched.length) return empty("No model is watched", "A model with a label in configs/models.yaml is trained, and from then on watched.");
    const chosen = watched.find((one) => one.name === name) ?? watched[0];
    const tabs = watched.length > 1 && h("nav", { class: "chips", "aria-label": "Models" }, watched.map((one) => h("a", { key: one.name, href: `#drift/${encodeURIComponent(one.name)}`, "aria-current": one === chosen ? "true" : null }, one.name)));
    return [tabs, heatMap(chosen, report, feature, extent), report && feature && distribution(report, feature)];
  })];
}

// With hundreds of features and dozens of looks it has tens of thousands of cells.
const MOST_ROWS = 40;

const cells = kept((name, map, report, feature, all) => {
  const looks = map.looks.map((look) => ({ ...look, of: new Map(look.scores.map((score) => [score.feature, score])) }));
  const farthest = new Map();
  for (const { scores } of map.looks) for (const one of scores) farthest.set(one.feature, Math.max(farthest.get(one.feature) ?? 0, one.score ?? 0));
  const ranked = [...farthest.keys()].sort((a, b) => farthest.get(b) - farthest.get(a));
  const shown = (all ? ranked : ranked.slice(0, MOST_ROWS)).sort();
  return h("div", null, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Drift by feature and time" }, h("table", { class: "heat" },
    h("caption", { class: "unseen" }, `Stability index of each feature at each look; drifted from ${map.threshold} on`),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Feature"), looks.map((look, place) => h("th", { scope: "col", key: look.report_id, class: "heat-time" }, (place % 5 === 0 && place < looks.length - 3) || place === looks.length - 1 ? h("bdi", null, clock(look.checked_at_us)) : h("span", { class: "unseen" }, clock(look.checked_at_us)))))),
    h("tbody", null, shown.map((one) => h("tr", { key: one }, h("th", { scope: "row" }, one), looks.map((look) => cell(name, look, one, map.threshold, report === look.report_id && feature === one))))))),
  shown.length < ranked.length && h("p", { class: "quiet" }, `The ${shown.length} that were farthest away, of ${ranked.length} features. `, h("a", { href: `#drift/${encodeURIComponent(name)}/${report ?? ""}/${encodeURIComponent(feature ?? "")}/all` }, "Show all")));
});

function heatMap(model, report, feature, extent) {
  const answer = ask(`/api/drift?model=${encodeURIComponent(model.name)}`, "drift");
  const aside = actionButton("Look now", "check-drift", { model: model.name });
  return panel(model.name, { aside: model.champion === null ? null : aside }, loaded(answer, (map) => {
    if (!map.looks.length) return empty("Nobody has looked yet", model.champion === null ? "The model is watched from its first training on." : "The schedule in configs/models.yaml looks by itself.");
    const last = map.looks.at(-1);
    return [
      h("p", { class: "panel-text" }, last.verdict === "DRIFTED" ? badge("failed", "drifted at the last look") : badge("ok", "stable at the last look"), ` ${moment(last.checked_at_us)}, ${count(last.rows)} rows, against version ${last.version}. `,
        last.retrain_job_id ? ["It started a training: ", jobLink(last.retrain_job_id), "."] : last.not_retrained_because ? `No training: ${last.not_retrained_because}.` : ""),
      cells(model.name, map, report, feature, extent === "all"),
      legend(map.threshold),
    ];
  }));
}

function cell(name, look, feature, threshold, chosen) {
  const score = look.of.get(feature);
  if (!score) return h("td", { key: look.report_id });
  const value = score.score ?? 0;
  const level = value >= 4 * threshold ? 5 : value >= 2 * threshold ? 4 : value >= threshold ? 3 : value >= threshold / 2 ? 2 : value >= threshold / 5 ? 1 : 0;
  return h("td", { key: look.report_id }, h("a", {
    class: `cell level-${level}${score.drifted ? " drifted" : ""}`, href: `#drift/${encodeURIComponent(name)}/${look.report_id}/${encodeURIComponent(feature)}`, "aria-current": chosen ? "true" : null,
    "aria-label": `${feature}, ${moment(look.checked_at_us)}: ${score.score === null ? "not measured" : number(score.score)}${score.drifted ? ", drifted" : ""}`, title: `${feature} ${number(score.score)}${score.drifted ? ", drifted" : ""}`,
  }, score.drifted ? "●" : ""));
}

function legend(threshold) {
  const steps = [0, threshold / 5, threshold / 2, threshold, 2 * threshold, 4 * threshold];
  return h("p", { class: "legend quiet" }, "Stability index (PSI) from ", steps.map((step, level) => h("span", { class: "legend-step", key: level }, h("span", { class: `cell level-${level}`, "aria-hidden": "true" }), number(step))), h("span", { class: "legend-step" }, h("span", { class: "cell level-4 drifted", "aria-hidden": "true" }, "●"), "has drifted, and not by chance"));
}

function distribution(report, feature) {
  const answer = ask(`/api/drift/${encodeURIComponent(report)}?feature=${encodeURIComponent(feature)}`);
  return panel(feature, { class: "distribution" }, loaded(answer, (one) => {
    const labels = one.reference.categories?.length ? one.reference.categories : bins(one.reference.edges ?? []);
    const most = Math.max(...one.reference.shares, ...one.current.shares, 1e-9);
    const percent = (share) => `${number((share ?? 0) * 100)} %`;
    const measures = [["Stability index (PSI)", one.psi], ["Kolmogorov-Smirnov", one.ks_statistic], ["Chi-squared", one.chi_squared], ["Wasserstein", one.wasserstein], ["Chance of this without drift", one.adjusted_p_value]].filter(([, value]) => value !== null);
    return [
      h("p", { class: "panel-text" }, one.drifted ? badge("failed", "drifted") : badge("ok", "not drifted"), ` ${one.reasons.join("; ")}`),
      h("p", { class: "legend" }, h("span", { class: "legend-step" }, h("span", { class: "swatch reference", "aria-hidden": "true" }), `when it was trained (${count(one.reference_rows)} rows)`), h("span", { class: "legend-step" }, h("span", { class: "swatch current", "aria-hidden": "true" }), `at this look (${count(one.current_rows)} rows)`)),
      h("table", { class: "histogram" }, h("caption", { class: "unseen" }, `Shares of ${feature}, when it was trained and at this look`),
        h("thead", { class: "unseen" }, h("tr", null, h("th", { scope: "col" }, "Value"), h("th", { scope: "col" }, "When trained"), h("th", { scope: "col" }, "At this look"))),
        h("tbody", null, one.reference.shares.map((share, place) => h("tr", { key: place }, h("th", { scope: "row" }, labels[place] ?? "other"),
          h("td", null, bar("reference", share / most), h("span", { class: "bar-value" }, percent(share))),
          h("td", null, bar("current", (one.current.shares[place] ?? 0) / most), h("span", { class: "bar-value" }, percent(one.current.shares[place]))))))),
      h("dl", { class: "facts" }, measures.map(([name, value]) => [h("dt", null, name), h("dd", null, number(value))]), h("dt", null, "Missing"), h("dd", null, `${percent(one.reference_missing_rate)} then, ${percent(one.current_missing_rate)} now`), one.new_categories.length > 0 && [h("dt", null, "New values"), h("dd", null, one.new_categories.join(", "))]),
    ];
  }));
}

function bins(edges) {
  if (!edges.length) return ["all"];
  return [`up to ${number(edges[0])}`, ...edges.slice(1).map((edge, place) => `${number(edges[place])} to ${number(edge)}`), `over ${number(edges.at(-1))}`];
}

function bar(kind, share) {
  return h("span", { class: `share ${kind}`, style: { width: `${(share * 100).toFixed(1)}%` }, "aria-hidden": "true" });
}
