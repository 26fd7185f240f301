// What is wrong with the page for those who cannot see well, or at all: one sentence each.
() => {
  // What a screen reader would stumble over.
  const findUnnamed = () => {
  const faults = [];
  const ids = new Map();
  for (const one of document.querySelectorAll("[id]")) ids.set(one.id, (ids.get(one.id) ?? 0) + 1);
  for (const [id, times] of ids) if (times > 1) faults.push(`the id ${id} is there ${times} times`);
  const named = (one) => (one.getAttribute("aria-label") || one.textContent || one.labels?.[0]?.textContent || "").trim();
  for (const one of document.querySelectorAll("a, button, input, select, summary, [role=img], [role=meter], [role=progressbar], [role=region], nav"))
    if (!named(one)) faults.push(`no name: ${one.outerHTML.slice(0, 120)}`);
  for (const one of document.querySelectorAll("[aria-labelledby]"))
    if (!document.getElementById(one.getAttribute("aria-labelledby"))) faults.push(`labelled by nothing: ${one.outerHTML.slice(0, 80)}`);
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  let level = 1;
  for (const one of document.querySelectorAll("h1, h2, h3")) {
    const next = Number(one.localName[1]);
    if (next > level + 1) faults.push(`heading ${one.textContent} skips a level`);
    level = next;
  }
  for (const one of document.querySelectorAll("table")) if (!one.caption) faults.push("a table without caption");
  return faults;
};
  // Text that stands out too little from its ground (WCAG AA).
  const findFaint = () => {
  const parse = (text) => { const n = text.match(/[\d.]+/g).map(Number); return { c: n.slice(0, 3), a: n[3] ?? 1 }; };
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (one) => { for (; one; one = one.parentElement) { const { c, a } = parse(getComputedStyle(one).backgroundColor); if (a > .9) return c; } return [255, 255, 255]; };
  const faults = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || one.closest(".unseen, .skip, noscript, script, button:disabled") || !one.getClientRects().length) continue;
    const style = getComputedStyle(one);
    const [high, low] = [light(parse(style.color).c), light(ground(one))].sort((a, b) => b - a);
    const ratio = (high + .05) / (low + .05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.add(`${ratio.toFixed(2)}: ${one.className} ${walker.currentNode.data.slice(0, 40)}`);
  }
  return [...faults];
};
  return [...findUnnamed(), ...findFaint()];
}
