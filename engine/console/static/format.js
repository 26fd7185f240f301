// Numbers and times for people.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const brief = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

export function rate(value) {
  return value < 10 ? brief.format(value) : whole.format(value);
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 1000 ? whole.format(value) : brief.format(value);
}

/** A duration in seconds. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${brief.format(seconds * 1e6)} µs`;
  if (seconds < 1) return `${brief.format(seconds * 1e3)} ms`;
  if (seconds < 120) return `${seconds < 10 ? brief.format(seconds) : whole.format(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

export function ago(at_us, now_us) {
  const seconds = (now_us - at_us) / 1e6;
  return seconds < 1 ? "just now" : `${duration(Math.floor(seconds))} ago`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const unit of ["B", "KiB", "MiB"]) {
    if (value < 1024) return `${brief.format(value)} ${unit}`;
    value /= 1024;
  }
  return `${brief.format(value)} GiB`;
}

export function moment(at_us) {
  return at_us === null || at_us === undefined ? "–" : new Date(at_us / 1000).toLocaleString();
}

export function clock(at_us) {
  return new Date(at_us / 1000).toLocaleTimeString();
}

export function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
