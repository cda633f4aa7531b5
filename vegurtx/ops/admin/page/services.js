// Services and their replicas: health, load, requests in flight, and buttons that change a replica's state.

import { element, keyed, row, setAttribute, setText, table } from "./elements.js";
import { NONE, age, count, duration, rate } from "./numbers.js";

const COLUMNS = [
  { key: "replica", name: "Replica" },
  { key: "health", name: "State" },
  { key: "load", name: "Load", kind: "number" },
  { key: "flight", name: "In flight", kind: "number" },
  { key: "failed", name: "Errors", kind: "number" },
  { key: "latency", name: "Latency", kind: "number" },
  { key: "weight", name: "Weight", kind: "number" },
  { key: "probe", name: "Last probe" },
  { key: "set", name: "Set state", quiet: true },
];
const WORDS = { up: "up", down: "down", ejected: "ejected", drain: "drain", maint: "maintenance" };
const CHOICES = [
  ["ready", "Ready", "Ready: it gets requests"],
  ["drain", "Drain", "Drain: sticky sessions only"],
  ["maint", "Maint", "Maintenance: no requests"],
];

export class Services {
  /** @param change called with a service's name, a replica's key and the state that it is to have */
  constructor(parent, change) {
    this.parent = parent;
    this.change = change;
    this.before = null;
  }

  /** @param snapshot what the program says; the one before tells the rates */
  show(snapshot) {
    const { services } = snapshot;
    const seconds = this.before ? snapshot.time - this.before.time : 0;
    const totals = this.before?.totals ?? new Map();
    this.rate = (name, total) => {
      const then = totals.get(name);
      return seconds > 0 && then !== undefined && total >= then ? (total - then) / seconds : null;
    };
    if (services.length) {
      this.empty?.remove();
      this.empty = null;
    } else if (!this.empty) {
      this.empty = element("p", { class: "empty" }, "This router has no services of its own to show.");
      this.parent.append(this.empty);
    }
    const make = (service) => this.makeService(service);
    keyed(this.parent, services, (service) => service.name, make, (part, service) => this.update(part, service));
    if (this.empty) this.parent.append(this.empty);
  }

  /** Rates are measured from here on. */
  remember(snapshot) {
    const totals = new Map();
    for (const service of snapshot.services) {
      totals.set(service.name, service.total);
      for (const { key, total } of service.replicas) totals.set(JSON.stringify([service.name, key]), total);
    }
    this.before = { time: snapshot.time, totals };
  }

  makeService({ name }) {
    const head = element("div", { class: "service-head" }, element("h3", {}, name), element("p", { class: "facts" }));
    return element("section", { class: "service", "aria-label": `Service ${name}` }, head, table(`Replicas of ${name}`, COLUMNS));
  }

  update(part, service) {
    const facts = [
      service.strategy,
      `${count(service.available)} of ${count(service.replicas.length)} available`,
      `${rate(this.rate(service.name, service.total))} req/s`,
      `${count(service.in_flight)} in flight`,
    ];
    if (service.waiting || service.queue_length) facts.push(`${count(service.waiting)} waiting`);
    if (service.retried) facts.push(`${count(service.retried)} retries`);
    if (service.rejected) facts.push(`${count(service.rejected)} rejected`);
    if (service.circuit && service.circuit !== "closed") facts.push(`circuit ${service.circuit}`);
    if (service.panicking) facts.push("too few are healthy: health is ignored");
    const urgent = service.panicking || (service.circuit ?? "closed") !== "closed" || !service.available;
    setAttribute(part, "data-urgent", urgent ? "yes" : null);
    setText(part.querySelector(".facts"), facts.filter(Boolean).join(" · "));
    const rates = service.replicas.map(({ key, total }) => this.rate(JSON.stringify([service.name, key]), total));
    const most = Math.max(...rates, 0.001);
    const items = service.replicas.map((replica, place) => ({ replica, rate: rates[place], share: rates[place] / most }));
    const body = part.querySelector("tbody");
    const make = ({ replica }) => this.makeReplica(service.name, replica);
    keyed(body, items, ({ replica }) => replica.key, make, updateReplica);
  }

  makeReplica(service, { key }) {
    const made = row(COLUMNS);
    const [, state, load, , , , , , set] = made.cells;
    state.append(element("span", { class: "badge" }));
    const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
    load.append(element("div", {}, bar, element("span", { class: "rate" })));
    const buttons = CHOICES.map(([value, name, title]) => {
      const button = element("button", { type: "button", class: "small", "data-state": value, title }, name);
      button.addEventListener("click", () => this.change(service, key, value, button));
      return button;
    });
    set.append(element("div", { class: "choice", role: "group", "aria-label": `State of ${key}` }, ...buttons));
    return made;
  }
}

function updateReplica(part, { replica, rate: speed, share }) {
  const [name, state, load, flight, failed, latency, weight, probe, set] = part.cells;
  setText(name, replica.key);
  const badge = state.firstChild;
  setAttribute(badge, "data-state", replica.state);
  setText(badge, stateOf(replica));
  load.querySelector(".bar > span").style.width = `${(100 * share).toFixed(1)}%`; // through the CSSOM: the policy allows it
  setText(load.querySelector(".rate"), `${rate(speed)} /s`);
  setText(flight, replica.max_connections ? `${count(replica.in_flight)} / ${count(replica.max_connections)}` : count(replica.in_flight));
  setText(failed, count(replica.errors));
  setAttribute(failed, "data-some", replica.errors ? "yes" : null);
  setText(latency, replica.latency ? duration(replica.latency) : NONE);
  setText(weight, replica.weight.toFixed(Number.isInteger(replica.weight) ? 0 : 1));
  setText(probe, probeOf(replica.probe));
  for (const button of set.querySelectorAll("button")) {
    setAttribute(button, "aria-pressed", String(button.dataset.state === replica.admin));
  }
}

function stateOf(replica) {
  if (replica.states) return Object.entries(replica.states).map(([state, workers]) => `${workers} × ${WORDS[state] ?? state}`).join(", ");
  const word = WORDS[replica.state] ?? replica.state;
  return replica.state === "ejected" && replica.ejected_for ? `${word}, ${age(replica.ejected_for)}` : word;
}

function probeOf(probe) {
  if (!probe) return NONE;
  return `${probe.ok ? "✓" : "✗"} ${probe.result ?? ""}, ${age(probe.age)} ago`;
}
