// Axes: where a value stands, and which values are worth a line. No document here.

const STEPS = [1, 2, 5, 10];

/** The smallest of 1, 2 and 5 times a power of ten that is not below `value`; for `down`, the largest not above it. */
export function round(value, down = false) {
  const power = 10 ** Math.floor(Math.log10(value));
  const found = down
    ? STEPS.findLast((step) => step * power <= value * (1 + 1e-9))
    : STEPS.find((step) => step * power >= value * (1 - 1e-9));
  return (found ?? 1) * power;
}

/** A scale from 0 to at least `largest`, with about three lines above the axis. */
export function linear(largest, least) {
  const step = round(Math.max(largest, least) / 3);
  const top = Math.max(1, Math.ceil(Math.max(largest, least) / step - 1e-9)) * step;
  const ticks = [];
  for (let place = 0; place * step <= top * (1 + 1e-9); place += 1) ticks.push(place * step);
  return { ticks, at: (value) => Math.min(1, value / top) };
}

/** A logarithmic scale around what lies between `smallest` and `largest`, both above 0. */
export function logarithmic(smallest, largest) {
  const wide = largest / smallest > 20; // then whole decades
  const bottom = wide ? 10 ** Math.floor(Math.log10(smallest)) : round(smallest, true);
  // a decade at least: noise is not to look like news
  const top = wide ? 10 ** Math.ceil(Math.log10(largest) - 1e-9) : Math.max(round(largest), bottom * 10);
  const ticks = [];
  for (let power = Math.floor(Math.log10(bottom)); power <= Math.ceil(Math.log10(top)); power += 1) {
    for (const step of wide ? [1] : [1, 2, 5]) {
      const tick = Number(`${step}e${power}`);
      if (tick >= bottom * 0.999 && tick <= top * 1.001) ticks.push(tick);
    }
  }
  const [low, high] = [Math.log10(bottom), Math.log10(top)];
  const at = (value) => Math.min(1, Math.max(0, (Math.log10(value) - low) / (high - low)));
  return { ticks, at };
}

/** Times between `from` and `to` (seconds since the epoch) that are worth a line, `most` of them at the most. */
export function times(from, to, most) {
  const step = [60, 120, 300, 600].find((seconds) => (to - from) / seconds <= most) ?? 900;
  const found = [];
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) found.push(time);
  return found;
}
