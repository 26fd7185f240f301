// Elements from descriptions, changed in place: what has the focus, is open or selected stays so.
// Text becomes text nodes and nothing else; there is no way from data to markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "circle", "rect", "line"]);
const KEY = Symbol("key");
const PROPS = Symbol("props");
const DRAWN = Symbol("drawn");

/** Describe an element. `on…` properties are listeners, `key` tells siblings apart. */
export function h(tag, props, ...children) {
  const kept = children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);
  return { tag, props: props ?? {}, children: kept.map((one) => (typeof one === "object" ? one : String(one))) };
}

/** Describe anew only when one of the facts is another than last time: for what is big. */
export function kept(describe) {
  let facts = [];
  let described = null;
  return (...given) => {
    if (described === null || given.some((one, place) => one !== facts[place])) [facts, described] = [given, describe(...given)];
    return described;
  };
}

/** Make the children of `parent` what is described. */
export function render(parent, described) {
  let cursor = parent.firstChild;
  for (const one of described.flat(Infinity).filter(Boolean)) {
    let node = fits(cursor, one) ? cursor : find(cursor, one);
    if (node === null) {
      node = create(one);
      parent.insertBefore(node, cursor);
    } else if (node === cursor) {
      cursor = cursor.nextSibling;
    } else {
      parent.insertBefore(node, cursor);
    }
    update(node, one);
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

function fits(node, one) {
  if (node === null) return false;
  if (typeof one === "string") return node.nodeType === Node.TEXT_NODE;
  return node.localName === one.tag && node[KEY] === one.props.key;
}

function find(node, one) {
  if (typeof one === "string" || one.props.key === undefined) return null;
  while (node && !fits(node, one)) node = node.nextSibling;
  return node;
}

function create(one) {
  if (typeof one === "string") return document.createTextNode(one);
  const node = SVG_TAGS.has(one.tag)
    ? document.createElementNS(SVG, one.tag)
    : document.createElement(one.tag);
  node[KEY] = one.props.key;
  node[PROPS] = {};
  return node;
}

function update(node, one) {
  if (typeof one === "string") {
    if (node.data !== one) node.data = one;
    return;
  }
  // What is described by the very same object has been drawn already, with all that is in it.
  if (node[DRAWN] === one) return;
  node[DRAWN] = one;
  const before = node[PROPS] ?? {};
  for (const name of Object.keys(before)) if (!(name in one.props)) set(node, name, null, before[name]);
  for (const [name, value] of Object.entries(one.props)) {
    if (before[name] !== value) set(node, name, value, before[name]);
  }
  node[PROPS] = one.props;
  render(node, one.children);
}

function set(node, name, value, before) {
  if (name === "key") return;
  if (name.startsWith("on")) {
    if (before) node.removeEventListener(name.slice(2), before);
    if (value) node.addEventListener(name.slice(2), value);
  } else if (name === "style") {
    for (const [property, one] of Object.entries(value ?? {})) node.style.setProperty(property, one);
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, value === true ? "" : value);
  }
}
