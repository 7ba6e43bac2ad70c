// The floor: the simplest thing that anyone would write. One object stores a row, answers, calls the endpoint,
// updates the row. No auth, no signature, no log, no retry, no lease: what it is fast at, it is fast at because
// it doesn't do it.
import { DurableObject } from "cloudflare:workers";

export class Outbox extends DurableObject {
  open = 0;
  rows = 0;

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS deliveries (id INTEGER PRIMARY KEY, body TEXT NOT NULL, status INTEGER)");
  }

  async fetch(request) {
    if (request.method === "GET") return Response.json({ open: this.open, rows: this.rows });
    const url = request.headers.get("endpoint");
    const body = await request.text();
    const { id } = this.run("INSERT INTO deliveries (body) VALUES (?) RETURNING id", body);
    this.open += 1;
    this.ctx.waitUntil(this.send(id, url, body));
    return Response.json({ id }, { status: 202 });
  }

  async send(id, url, body) {
    const headers = { "content-type": "application/json", "webhook-id": `${id}` };
    const { status } = await fetch(url, { method: "POST", headers, body });
    this.run("UPDATE deliveries SET status = ? WHERE id = ?", status, id);
    this.open -= 1;
  }

  run(statement, ...values) {
    const cursor = this.sql.exec(statement, ...values);
    const [row] = cursor;
    if (this.env.COUNT) this.rows += cursor.rowsWritten;
    return row;
  }
}

export default {
  fetch(request, env) {
    return env.OUTBOX.get(env.OUTBOX.idFromName("outbox")).fetch(request);
  },
};
