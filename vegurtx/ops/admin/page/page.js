// The page: asks every two seconds while somebody can see it, shows what comes, and says so when nothing does.

import { element, setAttribute, setText } from "./elements.js";
import { showErrors, showNow, showWorkers } from "./lists.js";
import { WINDOW, age, between, duration, durationTick, percent, percentTick, rate, timeOfDay } from "./numbers.js";
import { Plot } from "./plot.js";
import * as server from "./server.js";
import { Services } from "./services.js";

const INTERVAL = 2000; // milliseconds
const LONGEST_WAIT = 10_000;
const SHORTEST = 1; // seconds; nothing is measured over less
const SPANS = [120, 180, 300, 450, 600, 900]; // seconds that the plots may show; the last is what the program keeps

const at = (id) => document.getElementById(id);

// -- what has been heard ------------------------------------------------------------------------------------------

let snapshots = []; // of the last seconds: points are measured over WINDOW
let points = []; // of all that the plots show
let failures = 0;
let lastAnswer = null; // milliseconds since the epoch, of this browser
let draining = false;
let timer = null;
let asking = false;

// -- what is seen ---------------------------------------------------------------------------------------------------

const plots = [
  new Plot(
    at("plots"),
    [
      { key: "good", name: "1xx–3xx", look: "good" },
      { key: "client", name: "4xx", look: "warn" },
      { key: "server", name: "5xx", look: "bad" },
    ],
    { title: "Requests", unit: "per second", format: rate, stacked: true, least: 1, chosen },
  ),
  new Plot(
    at("plots"),
    [
      { key: "serverShare", name: "5xx", look: "bad" },
      { key: "wrongShare", name: "proxy errors", look: "warn dashed" },
    ],
    { title: "Errors", unit: "% of requests", format: percent, tick: percentTick, least: 1, chosen },
  ),
  new Plot(
    at("plots"),
    [
      { key: "p50", name: "p50", look: "first" },
      { key: "p90", name: "p90", look: "second" },
      { key: "p99", name: "p99", look: "third" },
    ],
    { title: "Latency", unit: "to the last byte", format: duration, tick: durationTick, logarithmic: true, chosen },
  ),
];
const services = new Services(at("services"), changeState);

/** The plots share their cursor. */
function chosen(point) {
  for (const plot of plots) plot.choose(point);
}

function notice(text, kind = "") {
  at("notice").hidden = !text;
  setAttribute(at("notice"), "data-kind", kind || null);
  setText(at("notice"), text);
}

function problems(title, lines) {
  const box = at("problems");
  box.replaceChildren();
  box.hidden = !lines.length;
  if (!lines.length) return;
  const close = element("button", { type: "button", class: "small" }, "Dismiss");
  close.addEventListener("click", () => problems("", []));
  const list = element("ul", {}, ...lines.map((line) => element("li", {}, line)));
  box.append(element("div", { class: "problems-head" }, element("h2", {}, title), close), list);
}

function showState(word, kind) {
  setAttribute(at("state"), "data-state", kind);
  setText(at("state"), word);
  setAttribute(document.body, "data-state", kind);
}

function drawPlots() {
  const to = points.at(-1)?.time ?? Date.now() / 1000;
  const kept = to - (points[0]?.time ?? to);
  const span = SPANS.find((seconds) => kept <= seconds) ?? SPANS.at(-1);
  for (const plot of plots) plot.draw(points, to - span, to);
}

// -- asking ---------------------------------------------------------------------------------------------------------

function heard(snapshot) {
  const last = snapshots.at(-1);
  if (last && snapshot.time <= last.time) return;
  snapshots.push(snapshot);
  // the newest one that is WINDOW old, and what came after it
  while (snapshots.length > 2 && snapshots[1].time <= snapshot.time - WINDOW + 0.5) snapshots.shift();
  const measurable = snapshot.time - snapshots[0].time >= SHORTEST;
  const point = measurable ? between(snapshots[0], snapshot) : null;
  if (point) points.push(point);
  else if (measurable) snapshots = [snapshot]; // another program: nothing before it counts
  while (points.length && points[0].time < snapshot.time - SPANS.at(-1)) points.shift();
  showNow(at("now"), snapshot, point);
  services.show(snapshot);
  services.remember(snapshots.find((each) => each.services)); // one from the history has none
  showErrors(at("codes"), at("errors"), snapshot);
  drawPlots();
}

async function learnHistory() {
  const { samples } = await server.history();
  points = [];
  for (let place = 1; place < samples.length; place += 1) {
    const point = between(samples[place - 1], samples[place]);
    if (point) points.push(point);
  }
  snapshots = samples.slice(-1);
}

function learnProcess(process) {
  draining = process.draining;
  at("drain").disabled = draining;
  showState(draining ? "draining" : "serving", draining ? "draining" : "serving");
  const about = [`version ${process.version}`, process.router, `up for ${age(process.uptime_seconds)}`];
  setText(at("about"), about.filter(Boolean).join(" · "));
  const limit = process.settings?.hard_stop_after;
  const patience = limit === undefined ? "" : ` Who is still there after ${age(limit)} is cut off.`;
  setText(at("drain-text"), `It takes no more clients, lets running requests and tunnels end, and then ends itself.${patience}`);
  showWorkers(at("workers"), process);
}

async function poll() {
  clearTimeout(timer);
  timer = null;
  if (asking || document.hidden) return;
  asking = true;
  try {
    if (!snapshots.length) await learnHistory();
    const [live, process] = await Promise.all([server.live(), server.process()]);
    learnProcess(process);
    heard(live);
    answered();
  } catch (problem) {
    failed(problem);
  } finally {
    asking = false;
  }
  if (at("token-form").hidden && !document.hidden) timer = setTimeout(poll, Math.min(INTERVAL * Math.max(1, failures), LONGEST_WAIT));
}

function answered() {
  lastAnswer = Date.now();
  if (failures) {
    failures = 0;
    snapshots = []; // the gap is filled from the program's memory
    notice("");
  }
  at("main").hidden = false;
  at("token-form").hidden = true;
}

function failed(problem) {
  if (problem instanceof server.TokenNeeded) {
    askForToken();
    return;
  }
  if (!(problem instanceof TypeError || problem instanceof DOMException || problem instanceof server.Refused)) console.error(problem);
  failures += 1;
  showState("away", "away");
  const since = lastAnswer === null ? "" : ` since ${timeOfDay(lastAnswer / 1000)}`;
  const ended = draining ? " It was draining: it has probably ended." : "";
  notice(`No answer${since}.${ended} Trying again.`, "away");
}

function askForToken() {
  const wrong = server.hasToken();
  server.forgetToken();
  at("main").hidden = true;
  at("token-form").hidden = false;
  setText(at("token-problem"), wrong ? "The program does not take this token." : "");
  showState("a token is needed", "unknown");
  notice("");
  at("token").focus();
}

// -- what can be done -----------------------------------------------------------------------------------------------

async function act(button, doing, done) {
  button.setAttribute("aria-busy", "true");
  try {
    notice((await done(await doing())) ?? "");
  } catch (problem) {
    if (problem instanceof server.TokenNeeded) askForToken();
    else problems("This could not be done", problem.problems?.length ? problem.problems : [problem.message]);
  } finally {
    button.removeAttribute("aria-busy");
    poll();
  }
}

async function changeState(service, key, state, button) {
  await act(button, () => server.setState(service, key, state), () => `${key} of ${service}: ${state}.`);
}

at("reload").addEventListener("click", () => {
  problems("", []);
  act(at("reload"), server.reload, () => `Configuration read at ${timeOfDay(Date.now() / 1000)}: all good.`);
});
at("drain").addEventListener("click", () => at("drain-dialog").showModal());
at("drain-cancel").addEventListener("click", () => at("drain-dialog").close());
at("drain-confirm").addEventListener("click", () => {
  at("drain-dialog").close();
  act(at("drain"), server.drain, () => "The program drains.");
});
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  server.keepToken(at("token").value.trim());
  at("token").value = "";
  at("token-form").hidden = true;
  poll();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  snapshots = []; // what went on meanwhile is in the program's memory
  poll();
});

document.title = `vegurtx · ${location.host}`;
poll();
