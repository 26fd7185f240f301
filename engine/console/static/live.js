// The engine, live: the stream of pulses, answers to questions, and actions.

const TOKEN = "trellis-token";
const SILENT_MS = 3000;
const LOST_MS = 6000;
const RETRY_MS = 1500;
const STREAM_AGAIN_MS = 20_000;
const FRESH_MS = 1500;
const ASK_AGAIN = "ask again";

/** What is known, for whoever draws. `link` is connecting, live, lost or locked; `polled`: each
 * pulse is asked for, since the stream brings none. */
export const live = { pulse: null, link: "connecting", polled: false, seenAt: 0 };

const answers = new Map();
let changed = () => {};
let stream = null;
let heardAt = 0;
let polling = false;

export function onChange(listener) {
  changed = listener;
}

export const redraw = () => changed();

// In sessionStorage: it ends with the tab, no other tab has it, and unlike a cookie it is sent by
// this module alone.
export const token = () => sessionStorage.getItem(TOKEN);

function headers(more) {
  return token() ? { ...more, authorization: `Bearer ${token()}` } : more;
}

async function refuse(response) {
  let text = `The engine answered ${response.status}.`;
  try {
    text = (await response.json()).error ?? text;
  } catch {
    // Not JSON: the status has to do.
  }
  const error = new Error(text);
  error.status = response.status;
  return error;
}

/** Keep a token if the engine takes it. Throws otherwise. */
export async function unlock(given) {
  const response = await fetch("/api/unlock", { method: "POST", headers: { "content-type": "application/json", authorization: `Bearer ${given}` }, body: "{}" });
  if (!response.ok) throw await refuse(response);
  sessionStorage.setItem(TOKEN, given);
  answers.clear();
  if (live.link !== "live") follow();
  changed();
}

export function lock() {
  sessionStorage.removeItem(TOKEN);
  changed();
}

/** Do something. Returns the sentence that says what was done; throws if it was refused. */
export async function act(name, asked) {
  const response = await fetch(`/api/actions/${name}`, { method: "POST", headers: headers({ "content-type": "application/json" }), body: JSON.stringify(asked) });
  if (!response.ok) throw await refuse(response);
  for (const one of answers.values()) one.at = 0;
  return response.json();
}

/** Return what the engine answers, as far as it is known, and ask again where it may have changed.
 * @param revision which counter of the pulse tells of changes
 * @param every_ms how old it may become without any */
export function ask(url, revision, every_ms = Infinity) {
  const one = answers.get(url) ?? { at: 0, busy: false, revision: null };
  answers.set(url, one);
  const seen = live.pulse && revision ? `${live.pulse.started_at_us}/${live.pulse.revisions[revision]}` : null;
  const age = performance.now() - one.at;
  const due = one.at === 0 || (age > FRESH_MS && (seen !== one.revision || age > every_ms));
  if (due && !one.busy && live.link === "live" && live.pulse.phase === "running") load(url, one, seen);
  return one;
}

/** What has been asked before, without asking again; undefined if nobody has. */
export const known = (url) => answers.get(url);

async function load(url, one, seen) {
  one.busy = true;
  try {
    const response = await fetch(url, { headers: headers({}) });
    if (!response.ok) throw await refuse(response);
    one.data = await response.json();
    one.error = null;
  } catch (error) {
    // Without an answer the link is down, which is told elsewhere: it is asked again with the next.
    one.error = error.status ? error.message : null;
    if (error.status === 404 || error.status === 400) one.data = undefined;
    if (!error.status) seen = ASK_AGAIN;
  }
  one.busy = false;
  one.at = performance.now();
  one.revision = seen;
  changed();
}

/** Follow the stream until the page is hidden; come back when it is shown. */
export function start() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stream?.abort();
    else follow();
  });
  setInterval(watch, 1000);
  follow();
}

function watch() {
  const now = performance.now();
  if (isOpen() && now - heardAt > SILENT_MS) {
    live.polled = true;
    stream.abort();
  }
  if (live.polled && !document.hidden && live.link !== "locked") poll();
  if (live.link === "live" && now - live.seenAt > LOST_MS) live.link = "lost";
  changed();
}

const isOpen = () => stream !== null && !stream.signal.aborted;

async function follow() {
  if (document.hidden || isOpen()) return;
  const mine = (stream = new AbortController());
  heardAt = performance.now();
  try {
    const response = await fetch("/api/stream", { headers: headers({}), signal: mine.signal });
    if (!response.ok) throw await refuse(response);
    await read(response.body.pipeThrough(new TextDecoderStream()).getReader());
  } catch (error) {
    if (error.status === 401) live.link = "locked";
    // Somebody answers, though not with the stream.
    else if (error.status) live.polled = true;
  }
  mine.abort();
  if (live.link !== "locked") {
    if (!live.polled) live.link = live.pulse ? "lost" : "connecting";
    setTimeout(follow, live.polled ? STREAM_AGAIN_MS : RETRY_MS);
  }
  changed();
}

// Between the engine and the page something may hold the stream back, and let answers through.
async function poll() {
  if (polling) return;
  polling = true;
  try {
    const response = await fetch("/api/pulse", { headers: headers({}), signal: AbortSignal.timeout(LOST_MS) });
    if (!response.ok) throw await refuse(response);
    const pulse = await response.json();
    if (live.polled) show(pulse);
  } catch (error) {
    if (error.status === 401) live.link = "locked";
    // Otherwise the next is asked for in a second; what is shown grows old meanwhile, and says so.
  }
  polling = false;
}

async function read(reader) {
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    events.forEach(take);
  }
}

function take(event) {
  const pulse = JSON.parse(event.slice(event.indexOf("data: ") + 6));
  // A step has only the numbers that came since the pulse before.
  if (event.startsWith("event: step")) {
    for (const [name, values] of Object.entries(live.pulse.points)) pulse.points[name] = [...values, ...pulse.points[name]].slice(-pulse.most_points);
  }
  heardAt = performance.now();
  live.polled = false;
  show(pulse);
}

function show(pulse) {
  live.pulse = pulse;
  live.link = "live";
  live.seenAt = performance.now();
  changed();
}
