// Numbers: what two snapshots say about the time between them, and how numbers read. No document here.

/** Seconds over which a point of the live plots is measured: one poll alone would be all noise. */
export const WINDOW = 6;

const sum = (values) => values.reduce((one, other) => one + other, 0);

/**
 * The upper bound below which a share of a histogram's observations is, in seconds; null where there is none.
 * Inside a bucket observations count as spread evenly; what is beyond the last bound counts as that bound.
 */
export function percentile(bounds, counts, share) {
  const total = sum(counts);
  if (total <= 0) return null;
  let left = total * share;
  for (let place = 0; place < bounds.length; place += 1) {
    if (left <= counts[place] && counts[place] > 0) {
      const below = place ? bounds[place - 1] : 0;
      return below + (bounds[place] - below) * (left / counts[place]);
    }
    left -= counts[place];
  }
  return bounds.at(-1);
}

/** The point that two snapshots make; null where they cannot be compared, as when the program is another one. */
export function between(before, after) {
  const seconds = after.time - before.time;
  const requests = {};
  for (const [name, count] of Object.entries(after.requests)) requests[name] = count - (before.requests[name] ?? 0);
  const counts = after.latency.counts.map((count, place) => count - before.latency.counts[place]);
  const wrong = sum(Object.values(after.errors)) - sum(Object.values(before.errors));
  const total = sum(Object.values(requests));
  const [received, sent] = ["received", "sent"].map((way) => after.bytes[way] - before.bytes[way]);
  if (seconds <= 0 || Math.min(wrong, received, sent, ...Object.values(requests), ...counts) < 0) return null;
  const { bounds } = after.latency;
  const share = (count) => (total > 0 ? (100 * count) / total : null);
  return {
    time: after.time,
    total: total / seconds,
    good: ((requests["1xx"] ?? 0) + (requests["2xx"] ?? 0) + (requests["3xx"] ?? 0)) / seconds,
    client: (requests["4xx"] ?? 0) / seconds,
    server: (requests["5xx"] ?? 0) / seconds,
    serverShare: share(requests["5xx"] ?? 0),
    wrongShare: share(wrong),
    p50: percentile(bounds, counts, 0.5),
    p90: percentile(bounds, counts, 0.9),
    p99: percentile(bounds, counts, 0.99),
    received: received / seconds,
    sent: sent / seconds,
  };
}

const formats = [0, 1, 2].map((digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits }));
const fixed = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const clockShort = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const NONE = "–";

/** A count: 1,234. */
export const count = (value) => (value == null ? NONE : formats[0].format(value));

/** A number a second: 0.4, 12, 3,400. */
export function rate(value) {
  if (value == null) return NONE;
  return (value > 0 && value < 10 ? fixed[1] : fixed[0]).format(value);
}

/** A share in percent, with its sign. */
export function percent(value) {
  if (value == null) return NONE;
  const digits = value === 0 || value >= 10 ? 0 : value < 1 ? 2 : 1;
  return `${fixed[digits].format(value)} %`;
}

/** The same on an axis, where several stand above each other. */
export const percentTick = (value) => `${formats[2].format(value)} %`;

/** Seconds as people read them: 0.8 ms, 42 ms, 1.3 s. */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds >= 1) return `${fixed[seconds < 10 ? 1 : 0].format(seconds)} s`;
  const milliseconds = seconds * 1000;
  return `${fixed[milliseconds < 10 ? 1 : 0].format(milliseconds)} ms`;
}

/** The same on an axis: 1 ms, 0.5 ms. */
export const durationTick = (seconds) => (seconds < 1 ? `${formats[2].format(seconds * 1000)} ms` : `${formats[0].format(seconds)} s`);

/** Bytes: 12 B, 3.4 kB. */
export function bytes(value) {
  if (value == null) return NONE;
  let left = value;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (left < 1000 || unit === "GB") return `${formats[left < 10 && unit !== "B" ? 1 : 0].format(left)} ${unit}`;
    left /= 1000;
  }
  return NONE;
}

/** A time since: 12 s, 3 min, 4 h 05 min, 6 d 3 h. */
export function age(seconds) {
  if (seconds == null) return NONE;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${count(Math.floor(hours / 24))} d ${hours % 24} h`;
}

/** The time of day, in this browser's zone. */
export const timeOfDay = (seconds) => clock.format(seconds * 1000);
export const hourAndMinute = (seconds) => clockShort.format(seconds * 1000);
