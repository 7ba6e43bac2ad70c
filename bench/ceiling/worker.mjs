// The ceiling: what Varde has to ask of the platform for a delivery, in plain JavaScript, with as little around it as
// can be. An enrollment is on disk before it is answered; the endpoint is called outside of the object, with a
// deadline, and its answer is read; what came of it is stored with the next enrollment, or a moment later. No
// auth, no rendering, no signature, no log, no retry. No Worker that keeps these promises can be much faster than it.
import { DurableObject } from "cloudflare:workers";

const TIMEOUT_MS = 25_000;
/** How long an outcome waits for an enrollment to go with. */
const PATIENCE_MS = 15;
/** Connections of an invocation. */
const AT_ONCE = 6;

const waiting = [];
let seenTo = false;

export class Outbox extends DurableObject {
  open = 0;

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS deliveries (id INTEGER PRIMARY KEY, body TEXT NOT NULL, status INTEGER)");
  }

  /** Stores outcomes, `[id, status]`, and a body where there is one: the id of that. */
  tell(outcomes, body) {
    return this.ctx.storage.transactionSync(() => {
      for (const [id, status] of outcomes) {
        this.sql.exec("UPDATE deliveries SET status = ? WHERE id = ?", status, id);
        this.open -= 1;
      }
      if (body === undefined) return undefined;
      this.open += 1;
      return this.sql.exec("INSERT INTO deliveries (body) VALUES (?) RETURNING id", body).one().id;
    });
  }

  stats() {
    return { open: this.open };
  }
}

export default {
  async fetch(request, env, ctx) {
    const outbox = env.OUTBOX.getByName("outbox");
    if (request.method === "GET") return Response.json(await outbox.stats());
    const endpoint = request.headers.get("endpoint");
    if (new URL(request.url).pathname.endsWith("/batch")) return fetchOnly(endpoint, await request.json(), ctx);
    const body = await request.text();
    const id = await outbox.tell(waiting.splice(0), body);
    ctx.waitUntil(deliver(env, endpoint, id, body));
    return Response.json({ id }, { status: 202 });
  },
};

async function deliver(env, endpoint, id, body) {
  waiting.push([id, await call(endpoint, id, body)]);
  if (seenTo) return;
  seenTo = true;
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  seenTo = false;
  if (waiting.length > 0) await env.OUTBOX.getByName("outbox").tell(waiting.splice(0));
}

/** The webhooks of a batch, of which nothing at all is stored. */
function fetchOnly(endpoint, { inputs }, ctx) {
  const bodies = inputs.map((input) => JSON.stringify(input));
  const results = bodies.map((_, at) => ({ id: `${at}` }));
  const sender = async () => {
    for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) await call(endpoint, 0, body);
  };
  ctx.waitUntil(Promise.all(Array.from({ length: AT_ONCE }, sender)));
  return Response.json({ results }, { status: 202 });
}

async function call(endpoint, id, body) {
  // As many as Varde sends with a Standard Webhooks signature.
  const headers = {
    "content-type": "application/json",
    "user-agent": "Varde/ceiling",
    "webhook-id": `${id}`,
    "webhook-timestamp": "1767323045",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    "varde-attempt": "1",
  };
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(endpoint, { method: "POST", headers, body, redirect: "manual", signal });
  await response.text();
  return response.status;
}
