// Questions to the program. A token is kept for this tab alone, and sent in the field that it belongs into.

const KEPT = "vegurtx-token";
const PATIENCE = 10_000; // milliseconds

/** The program wants a token, or another one. */
export class TokenNeeded extends Error {}

/** The program has said no. `problems` may say why, a line each. */
export class Refused extends Error {
  constructor(message, problems = []) {
    super(message);
    this.problems = problems;
  }
}

export const hasToken = () => sessionStorage.getItem(KEPT) !== null;
export const keepToken = (token) => sessionStorage.setItem(KEPT, token);
export const forgetToken = () => sessionStorage.removeItem(KEPT);

async function ask(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  const token = sessionStorage.getItem(KEPT);
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, {
    ...options,
    headers,
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    signal: AbortSignal.timeout(PATIENCE),
  });
  if (response.status === 401) throw new TokenNeeded();
  const said = await response.json();
  if (!response.ok) throw new Refused(said.error ?? `status ${response.status}`, said.problems);
  return said;
}

export const live = () => ask("api/live");
export const history = () => ask("api/history");
export const process = () => ask("api/process");
export const reload = () => ask("api/reload", { method: "POST" });
export const drain = () => ask("api/drain", { method: "POST" });

/** Put a replica into the state "ready", "drain" or "maint". */
export function setState(service, key, state) {
  const [name, replica] = [service, key].map(encodeURIComponent);
  return ask(`api/services/${name}/replicas/${replica}/state`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ state }),
  });
}
