// Features: what each is, what fed it last, and how long that took.

import { h } from "./dom.js";
import { count, duration } from "./format.js";
import { ask, live } from "./live.js";
import { badge, empty, filterBox, first, loaded, panel, table, time } from "./parts.js";

const FRESH_MS = 3000;

export function features([words, extent]) {
  const answer = ask("/api/features", null, FRESH_MS);
  return [h("h1", { class: "view-title", key: "title" }, "Features"), loaded(answer, (all) => all.features.length ? list(all, words ?? "", extent === "all") : empty("There are no features", "Declare them in configs/features.yaml."))];
}

function list(all, words, whole) {
  const found = all.features.filter((one) => [one.name, one.definition, ...one.models].some((text) => text.includes(words)));
  const [shown, more] = first(found, whole, `#features/${encodeURIComponent(words)}/all`);
  const stale = all.features.filter((one) => one.stale).length;
  const unfed = all.features.filter((one) => one.newest_us === null).length;
  return panel("Freshness", { aside: all.features.length > 10 && filterBox("Features with", "features", words) },
    h("p", { class: "panel-text quiet" }, `${count(all.features.length)} features. `, stale ? `${stale} past their ttl for everybody. ` : "", unfed ? `${unfed} without an event or upload in the last ${all.days} days. ` : "", "A feature is as fresh as the newest event or upload that it looks at."),
    shown.length ? table("Features by name", ["Feature", "What it is", "State", "Newest event", { text: "Answered after", class: "n" }, "Asked for by"], shown.map((one) => row(one, all.days))) : empty("No feature has that in its name, definition or models", ""), more);
}

function row(one, days) {
  const [state, text] = one.newest_us === null ? ["off", "not fed"] : one.stale ? ["warn", "stale"] : ["ok", "fed"];
  return h("tr", { key: one.name },
    h("th", { scope: "row" }, one.name),
    h("td", { class: "quiet" }, one.definition),
    h("td", null, badge(state, text)),
    h("td", null, one.newest_us === null ? `none in ${days} days` : time(one.newest_us, live.pulse.at_us), one.ttl_s !== null && h("span", { class: "quiet" }, ` ttl ${duration(one.ttl_s)}`)),
    h("td", { class: "n" }, one.delay_s === null ? h("span", { title: "before this start of the engine" }, "–") : duration(one.delay_s)),
    h("td", null, one.models.length ? one.models.map((model, place) => [place > 0 && ", ", h("a", { key: model, href: `#models/${encodeURIComponent(model)}` }, model)]) : h("span", { class: "quiet" }, "no model")));
}
