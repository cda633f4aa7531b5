// One plot: lines or stacked areas over time, with axes, a legend that has values, a cursor, and a table.
// The cursor follows the pointer; with the keyboard it is a slider. What stands there is in the legend, and is said.

import { drawn, element, keyed, setAttribute, setText } from "./elements.js";
import { NONE, hourAndMinute, timeOfDay } from "./numbers.js";
import { linear, logarithmic, times } from "./scale.js";

const EDGE = { top: 8, right: 8, bottom: 20, left: 44 }; // pixels
const GAP = 12; // seconds without a point after which a line breaks
const ROW_EVERY = 60; // seconds between rows of the table

export class Plot {
  /**
   * @param series each has a `key` of the points, a `name`, and a `look` (its class)
   * @param options `title`; `unit`; `format(value)`; `tick(value)`: the same for the axis; `stacked`; `logarithmic`; `least`: the axis reaches that far;
   *   `chosen(point)`: called where the cursor has moved, with null where it is gone
   */
  constructor(parent, series, options) {
    this.series = series;
    this.options = options;
    this.points = [];
    this.from = this.to = 0;
    this.cursor = null;
    this.svg = drawn("svg", { class: "canvas", "aria-hidden": "true", preserveAspectRatio: "none" });
    this.grid = drawn("g", { class: "grid" });
    this.shapes = drawn("g", { class: "shapes" });
    this.mark = drawn("g", { class: "mark" });
    this.svg.append(this.grid, this.shapes, this.mark);
    this.slider = element("div", { class: "slider", tabindex: "0", role: "slider" }, this.svg);
    setAttribute(this.slider, "aria-label", `${options.title}, a point in time`);
    this.time = element("span", { class: "plot-time" });
    this.legend = element("dl", { class: "legend" });
    this.values = new Map();
    for (const { key, name, look } of series) this.legend.append(this.legendEntry(key, name, look));
    this.details = element("details", {}, element("summary", {}, "As a table"));
    const title = element("h2", {}, options.title, " ", element("span", { class: "unit" }, options.unit));
    const head = element("figcaption", {}, title, this.time);
    const name = `${options.title}, ${options.unit}`;
    setAttribute(this.details, "aria-label", `${name}: as a table`);
    parent.append(element("figure", { class: "plot", "aria-label": name }, head, this.legend, this.slider, this.details));
    this.listen();
  }

  legendEntry(key, name, look) {
    const swatch = drawn("svg", { class: "swatch", viewBox: "0 0 16 10", "aria-hidden": "true" });
    const line = `M0 5H16`;
    swatch.append(drawn("path", { d: this.options.stacked ? "M0 1H16V9H0Z" : line, class: `${this.kind} ${look}` }));
    const value = element("dd", {}, NONE);
    this.values.set(key, value);
    return element("div", {}, element("dt", {}, swatch, name), value);
  }

  get kind() {
    return this.options.stacked ? "area" : "line";
  }

  listen() {
    this.slider.addEventListener("pointermove", (event) => this.options.chosen(this.pointAt(event.clientX)));
    this.slider.addEventListener("pointerdown", (event) => this.options.chosen(this.pointAt(event.clientX)));
    this.slider.addEventListener("pointerleave", () => this.options.chosen(null));
    // with the keyboard the cursor stands somewhere at once: what is said does not change every two seconds
    this.slider.addEventListener("focus", () => {
      if (this.slider.matches(":focus-visible")) this.options.chosen(this.points.at(-1) ?? null);
    });
    this.slider.addEventListener("blur", () => this.options.chosen(null));
    this.slider.addEventListener("keydown", (event) => this.pressed(event));
    this.details.addEventListener("toggle", () => this.fillTable());
    new ResizeObserver(() => this.draw(this.points, this.from, this.to)).observe(this.slider);
  }

  pressed(event) {
    const last = this.points.length - 1;
    const here = this.cursor === null ? last : this.points.indexOf(this.cursor);
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    const places = { Home: 0, End: last };
    if (event.key === "Escape") this.options.chosen(null);
    else if (event.key in steps) this.options.chosen(this.points[this.bounded(here + steps[event.key])] ?? null);
    else if (event.key in places) this.options.chosen(this.points[places[event.key]] ?? null);
    else return;
    event.preventDefault();
  }

  bounded(place) {
    return Math.max(0, Math.min(this.points.length - 1, place));
  }

  pointAt(x) {
    const box = this.slider.getBoundingClientRect();
    const share = (x - box.left - EDGE.left) / (box.width - EDGE.left - EDGE.right);
    const time = this.from + share * (this.to - this.from);
    const distance = (point) => Math.abs(point.time - time);
    return this.points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
  }

  /** Show `points`, sorted by time, between two times. */
  draw(points, from, to) {
    Object.assign(this, { points, from, to });
    const { width, height } = this.slider.getBoundingClientRect();
    if (width < 80 || height < 40 || to <= from) return;
    setAttribute(this.svg, "viewBox", `0 0 ${width} ${height}`);
    this.width = width;
    this.height = height;
    this.scale = this.makeScale();
    this.drawGrid();
    if (this.options.stacked) this.drawAreas();
    else this.drawLines();
    this.choose(this.cursor && points.includes(this.cursor) ? this.cursor : null);
    if (this.details.open) this.fillTable();
  }

  makeScale() {
    const tops = this.points.map((point) => (this.options.stacked ? this.stack(point).at(-1) : this.most(point)));
    if (!this.options.logarithmic) return linear(Math.max(0, ...tops), this.options.least);
    const all = this.points.flatMap((point) => this.series.map(({ key }) => point[key])).filter((value) => value > 0);
    return all.length ? logarithmic(Math.min(...all), Math.max(...all)) : logarithmic(0.001, 0.1);
  }

  most(point) {
    return Math.max(0, ...this.series.map(({ key }) => point[key] ?? 0));
  }

  /** The upper edges of a point's areas. */
  stack(point) {
    let height = 0;
    return this.series.map(({ key }) => (height += point[key] ?? 0));
  }

  x(time) {
    return EDGE.left + ((time - this.from) / (this.to - this.from)) * (this.width - EDGE.left - EDGE.right);
  }

  y(value) {
    return this.height - EDGE.bottom - this.scale.at(value) * (this.height - EDGE.top - EDGE.bottom);
  }

  drawGrid() {
    const [left, right, bottom] = [EDGE.left, this.width - EDGE.right, this.height - EDGE.bottom];
    const marks = this.scale.ticks.map((tick) => {
      const y = Math.round(this.y(tick)) + 0.5;
      return [`M${left} ${y}H${right}`, left - 6, y + 3.5, "end", (this.options.tick ?? this.options.format)(tick)];
    });
    for (const time of times(this.from, this.to, Math.max(2, Math.floor(this.width / 90)))) {
      const x = Math.round(this.x(time)) + 0.5;
      const edge = Math.max(left + 14, Math.min(right - 14, x));
      marks.push([`M${x} ${bottom}v4`, edge, this.height - 5, "middle", hourAndMinute(time)]);
    }
    const items = marks.map((mark, place) => ({ mark, place }));
    const make = () => drawn("g", {}, drawn("path"), drawn("text"));
    keyed(this.grid, items, ({ place }) => place, make, (group, { mark: [path, x, y, anchor, text] }) => {
      const [line, label] = group.children;
      setAttribute(line, "d", path);
      for (const [name, value] of [["x", x], ["y", y], ["text-anchor", anchor]]) setAttribute(label, name, value);
      setText(label, text);
    });
  }

  /** Runs of points without a hole, for one series. */
  runs(has) {
    const runs = [];
    let last = null;
    for (const point of this.points) {
      if (!has(point)) last = null;
      else if (last !== null && point.time - last.time <= GAP) runs.at(-1).push(point);
      else runs.push([point]);
      if (has(point)) last = point;
    }
    return runs;
  }

  line(run, value) {
    const places = run.map((point) => `${this.x(point.time).toFixed(1)} ${this.y(value(point)).toFixed(1)}`);
    // a single point would not be seen
    return run.length === 1 ? `M${places[0]}h1` : `M${places.join("L")}`;
  }

  drawLines() {
    this.shape(({ key }) =>
      this.runs((point) => point[key] !== null)
        .map((run) => this.line(run, (point) => point[key]))
        .join(""),
    );
  }

  drawAreas() {
    const runs = this.runs(() => true);
    this.shape((_, place) =>
      runs
        .map((run) => {
          const above = this.line(run, (point) => this.stack(point)[place]);
          const below = this.line([...run].reverse(), (point) => (place ? this.stack(point)[place - 1] : 0));
          return `${above}L${below.slice(1)}Z`;
        })
        .join(""),
    );
  }

  shape(path) {
    keyed(
      this.shapes,
      this.series.map((series, place) => ({ series, place })),
      ({ series }) => series.key,
      ({ series }) => drawn("path", { class: `${this.kind} ${series.look}` }),
      (shape, { series, place }) => setAttribute(shape, "d", path(series, place)),
    );
  }

  /** Put the cursor on a point; null: nowhere, and the legend has the newest values. */
  choose(point) {
    this.cursor = point;
    const shown = point ?? this.points.at(-1) ?? null;
    for (const { key } of this.series) setText(this.values.get(key), shown ? this.options.format(shown[key]) : NONE);
    setText(this.time, point ? timeOfDay(point.time) : "");
    const x = point ? this.x(point.time).toFixed(1) : null;
    const dots = point ? this.dots(point) : [];
    keyed(this.mark, point ? [x] : [], () => "line", () => drawn("path"), (line, at) =>
      setAttribute(line, "d", `M${at} ${EDGE.top}V${this.height - EDGE.bottom}${dots.join("")}`),
    );
    this.say(shown);
  }

  /** Small rings around the values at a point, as a path's parts. */
  dots(point) {
    const heights = this.options.stacked ? this.stack(point) : this.series.map(({ key }) => point[key]);
    return heights
      .filter((value) => value !== null)
      .map((value) => `M${this.x(point.time) - 3} ${this.y(value)}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0`);
  }

  say(point) {
    setAttribute(this.slider, "aria-valuemin", 0);
    setAttribute(this.slider, "aria-valuemax", Math.max(0, this.points.length - 1));
    setAttribute(this.slider, "aria-valuenow", point ? this.points.indexOf(point) : 0);
    const values = this.series.map(({ key, name }) => `${name} ${this.options.format(point?.[key])}`);
    setAttribute(this.slider, "aria-valuetext", point ? `${timeOfDay(point.time)}: ${values.join(", ")}` : "no values yet");
  }

  fillTable() {
    if (!this.details.open) return;
    const found = [];
    for (const point of [...this.points].reverse()) {
      if (!found.length || found.at(-1).time - point.time >= ROW_EVERY) found.push(point);
    }
    const heads = ["Time", ...this.series.map(({ name }) => name)];
    const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)));
    const body = found.map((point) => {
      const cells = this.series.map(({ key }) => element("td", {}, this.options.format(point[key])));
      return element("tr", {}, element("th", { scope: "row" }, timeOfDay(point.time)), ...cells);
    });
    const caption = element("caption", {}, `${this.options.title}, ${this.options.unit}`);
    const made = element("table", { class: "values" }, caption, element("thead", {}, head), element("tbody", {}, ...body));
    this.details.querySelector("table")?.remove();
    this.details.append(made);
  }
}
