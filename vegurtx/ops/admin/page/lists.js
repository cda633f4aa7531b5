// What is neither plot nor service: the numbers of this moment, the last errors, the workers.

import { element, keyed, row, setAttribute, setText, table } from "./elements.js";
import { NONE, age, bytes, count, duration, percent, rate, timeOfDay } from "./numbers.js";

/** The strip of numbers. `point` may be null: nothing has been measured yet. */
export function showNow(parent, snapshot, point) {
  const { backends } = snapshot;
  const figures = [
    ["Requests", rate(point?.total), "/s"],
    ["Errors", percent(point?.wrongShare), ""],
    ["Latency p50", duration(point?.p50), ""],
    ["Latency p99", duration(point?.p99), ""],
    ["In flight", count(snapshot.in_flight), ""],
    ["Clients", count(snapshot.connections.open), ""],
    ["Tunnels", count(snapshot.tunnels), ""],
    ["Back-ends", `${count(backends.in_use)} + ${count(backends.idle)}`, "idle"],
    ["From back-ends", bytes(point?.received), "/s"],
    ["To back-ends", bytes(point?.sent), "/s"],
  ];
  const make = ([name]) => element("div", {}, element("dt", {}, name), element("dd", {}, element("b"), " ", element("span")));
  keyed(parent, figures, ([name]) => name, make, (part, [, value, unit]) => {
    setText(part.querySelector("b"), value);
    setText(part.querySelector("span"), unit);
  });
}

const ERROR_COLUMNS = [
  { key: "time", name: "Time" },
  { key: "code", name: "Code" },
  { key: "what", name: "What" },
  { key: "request", name: "Request" },
  { key: "host", name: "Host" },
  { key: "to", name: "Service" },
  { key: "status", name: "Status", kind: "number" },
];

/** How often each code came since the start, the commonest first, and the last errors one by one. */
export function showErrors(codes, parent, snapshot) {
  const counts = Object.entries(snapshot.errors).map(([code, times]) => [code || "no code", times]);
  if (snapshot.rejected) counts.push(["not HTTP", snapshot.rejected]);
  counts.sort(([, one], [, other]) => other - one);
  const make = ([code]) => element("li", {}, element("span", { class: "code" }, code), " ", element("b"));
  keyed(codes, counts, ([code]) => code, make, (part, [, times]) => setText(part.querySelector("b"), count(times)));
  codes.hidden = !counts.length;

  const { recent } = snapshot;
  if (!parent.firstChild) parent.append(element("p", { class: "empty" }, "None so far."), table("Recent errors, the newest first", ERROR_COLUMNS));
  const [empty, list] = parent.children;
  empty.hidden = recent.length > 0;
  list.hidden = recent.length === 0;
  keyed(list.querySelector("tbody"), recent.map((error, place) => ({ error, place })), ({ place }) => place, makeError, updateError);
}

function makeError() {
  const made = row(ERROR_COLUMNS);
  made.cells[1].append(element("span", { class: "code" }));
  made.cells[3].append(element("span", { class: "method" }), " ", element("span", { class: "path" }));
  return made;
}

function updateError(part, { error }) {
  const [time, code, what, request, host, service, status] = part.cells;
  setText(time, timeOfDay(error.time));
  setText(code.firstChild, error.code || NONE);
  setText(what, error.description);
  setAttribute(what, "title", error.reason);
  setText(request.querySelector(".method"), error.method);
  setText(request.querySelector(".path"), error.path);
  setText(host, error.host);
  setText(service, error.service);
  setText(status, String(error.status));
}

const WORKER_COLUMNS = [
  { key: "place", name: "Worker" },
  { key: "pid", name: "Process", kind: "number" },
  { key: "how", name: "State" },
  { key: "uptime", name: "Up for", kind: "number" },
  { key: "restarts", name: "Restarts", kind: "number" },
  { key: "clients", name: "Clients", kind: "number" },
  { key: "requests", name: "Requests", kind: "number" },
];

/** A worker's state → the replica's state that looks like it. */
const LOOKS = { ready: "up", serving: "up", silent: "down", gone: "down" };

/** Each worker process; without workers, the one that there is. */
export function showWorkers(parent, process) {
  const alone = {
    number: NONE,
    pid: process.pid,
    state: process.draining ? "draining" : "serving",
    uptime_seconds: process.uptime_seconds,
    connections: process.connections,
    requests_total: process.requests_total,
  };
  const workers = process.workers ?? [alone];
  if (!parent.firstChild) parent.append(table("Worker processes", WORKER_COLUMNS));
  const key = (worker) => worker.pid || `place ${worker.number}`;
  keyed(parent.querySelector("tbody"), workers, key, makeWorker, (part, worker) => {
    const [place, pid, how, ...numbers] = part.cells;
    setText(place, String(worker.number));
    setText(pid, worker.pid ? String(worker.pid) : NONE);
    setAttribute(how.firstChild, "data-state", LOOKS[worker.state] ?? "drain");
    setText(how.firstChild, worker.former ? `${worker.state}, of the program before` : worker.state);
    const values = [age(worker.uptime_seconds), ...[worker.restarts, worker.connections, worker.requests_total].map(count)];
    values.forEach((value, at) => setText(numbers[at], value));
  });
}

function makeWorker() {
  const made = row(WORKER_COLUMNS);
  made.cells[2].append(element("span", { class: "badge" }));
  return made;
}
