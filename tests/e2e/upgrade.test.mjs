/**
 * Versions after each other on the same rows. What the first schema's Worker left in the middle of its work goes
 * on with this one; and what a later one would leave behind, more columns, tables and fields, doesn't stop this
 * one, so that a version can be rolled back.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, describe, it } from "node:test";

import { assertBooksBalance } from "./support/api.mjs";
import { makeAuthority } from "./support/ca.mjs";
import { Receiver } from "./support/receiver.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";
import { databases, load, shifted } from "./support/state.mjs";

const fixture = (name) => readFileSync(new URL(`../fixtures/state-of-schema-1/${name}`, import.meta.url), "utf8");

/** What the first one answered just before it was killed. */
const told = JSON.parse(fixture("answers.json"));
/** When it is to have been written: the retry that waited for ten minutes is due. */
const WRITTEN_AT = Date.now() - 20 * 60_000;

/** Where its endpoints were, and are now. */
const authority = await makeAuthority();
const receiver = await Receiver.start(authority.leaf);
after(() => receiver.stop());
const HERE = new URL(receiver.endpoint("/here").url).host;

const moved = (text) => shifted(text.replaceAll(told.receiver, HERE), told.written_at, WRITTEN_AT);
const before = JSON.parse(moved(JSON.stringify(told)));

const endpoints = Object.fromEntries(["order", "tell", "refusing", "waiting", "held", "flying"].map((name) => [name, receiver.endpoint(`/${name}`)]));

const { api, runtime } = await stage({
  authority: authority.certificate,
  variables: { VARDE_MASTER_KEY: told.master_key },
  state: (folder) => load(moved(fixture("state.sql")), folder),
});

/** What a later version may not have changed. */
const core = ({ enrollment, deliveries }) => ({
  enrollment: { id: enrollment.id, status: enrollment.status, record: enrollment.record, event: enrollment.event, outputs: enrollment.outputs, created_at: enrollment.created_at },
  deliveries: deliveries.map(({ id, action, status, attempt, reason, created_at, settled_at, request, attempts }) => ({ id, action, status, attempt, reason, created_at, settled_at, request, attempts })),
});

async function now(workflow) {
  const enrollment = await api.enrollment(workflow, before.enrollments[workflow].enrollment.id);
  const deliveries = [];
  for (const { id } of enrollment.deliveries) deliveries.push(await api.delivery(workflow, id));
  return { enrollment, deliveries };
}

const COUNTS = ["accepted", "delivered", "rejected", "exhausted", "canceled"];

/** The schema's version of every database, by the object's class. */
function versions() {
  return databases(runtime.state)
    .filter((name) => !name.endsWith("metadata.sqlite"))
    .map((name) => {
      const database = new DatabaseSync(path.join(runtime.state, name));
      const { value } = database.prepare("SELECT value FROM meta WHERE key = 'schema_version'").get();
      database.close();
      return [name.split("/")[2], Number(value)];
    });
}

describe("state that the first schema's Worker left", { concurrency: false }, () => {
  it("is shown as it was", async () => {
    for (const workflow of ["orders", "refused"]) {
      assert.deepEqual(core(await now(workflow)), core(before.enrollments[workflow]), workflow);
    }
    for (const [workflow, { stats, definition }] of Object.entries(before.enrollments)) {
      const shown = await api.get(`/v1/workflows/${workflow}`);
      assert.deepEqual({ ...shown, updated_at: 0 }, { ...definition, updated_at: 0 }, workflow);
      const found = await api.stats(workflow);
      assertBooksBalance(found);
      assert.equal(found.accepted, stats.accepted);
    }
    assert.deepEqual((await api.all("/v1/secrets")).map(({ name, created_at, previous_until }) => ({ name, created_at, previous_until })), before.secrets.map(({ name, created_at, previous_until }) => ({ name, created_at, previous_until })));
    const requests = await api.all(`/v1/inspect/${before.bin}/requests`);
    assert.deepEqual(requests.map(({ id, method, body }) => ({ id, method, body })), before.bin_requests.map(({ id, method, body }) => ({ id, method, body })));
  });

  it("goes on by itself: the retry that was due, and what was in flight, with the same ids and secrets", async () => {
    const [waiting] = before.enrollments.waiting.deliveries;
    await api.settled("waiting", before.enrollments.waiting.enrollment.id, "delivered");
    const [retried] = endpoints.waiting.requests;
    assert.equal(retried.headers["webhook-id"], waiting.id);
    assert.equal(retried.headers["varde-attempt"], "2");
    assert.equal(retried.headers.authorization, "Bearer second-value-of-the-shop");
    assert.equal(retried.text, waiting.request.body);

    const [flying] = before.enrollments.flying.deliveries;
    const settled = await api.settled("flying", before.enrollments.flying.enrollment.id, "delivered");
    assert.deepEqual(settled.attempts.map(({ outcome }) => outcome), ["lost", "response"]);
    assert.equal(endpoints.flying.requests[0].headers["webhook-id"], flying.id);
    for (const workflow of ["waiting", "flying"]) {
      const stats = await api.drained(workflow);
      assert.deepEqual([stats.accepted, stats.delivered], [1, 1]);
    }
  });

  it("keeps what people had decided: pauses, tokens, idempotency keys", async () => {
    assert.equal((await now("held")).deliveries[0].status, "held");
    assert.equal(endpoints.held.requests.length, 0);
    await api.done("POST", "/v1/workflows/held/resume");
    await api.settled("held", before.enrollments.held.enrollment.id, "delivered");

    await api.as(told.token).get("/v1/workflows");
    await api.as(told.token).refused(403, "PUT", "/v1/secrets/no", { value: "v" });

    const { enrollment } = before.enrollments.orders;
    const again = await api.enroll("orders", contact("1", { dealname: "One" }), { event: { source: "shop" }, key: "order-1" });
    assert.equal(again.id, enrollment.id);
    assert.equal(endpoints.order.requests.length, 0);
  });

  it("takes what came later: replays, order, triggers, a new master key's seal", async () => {
    const [refused] = before.enrollments.refused.deliveries;
    const replay = await api.done("POST", `/v1/workflows/refused/deliveries/${refused.id}/replay`);
    await api.drained("refused");
    assert.equal((await api.delivery("refused", replay.id)).status, "delivered");
    await api.done("POST", "/v1/workflows/refused/replays", { status: "rejected" });

    const definition = { ...(await api.get("/v1/workflows/waiting")), ordering: "record" };
    await api.workflow("waiting", definition);
    await api.enroll("waiting", contact("3"));
    await api.enroll("waiting", contact("3"));
    const stats = await api.drained("waiting");
    assert.deepEqual([stats.accepted, stats.delivered], [3, 3]);

    const trigger = await api.expect(201, "POST", "/v1/workflows/waiting/triggers", { name: "Orders" });
    assert.equal((await fetch(trigger.url, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" })).status, 202);
    assert.deepEqual(await api.expect(200, "POST", "/v1/master-key/reseal"), { secrets: 2, resealed: 0, unreadable: [] });
  });

  it("has this version's tables then, all of it", async () => {
    await runtime.kill9();
    const found = versions();
    const count = (source) => (/MIGRATIONS: \[&str; (\d+)\]/.exec(readFileSync(new URL(`../../src/${source}/schema.rs`, import.meta.url), "utf8"))?.[1]);
    const newest = { "varde-Registry": "registry_do", "varde-Outbox": "outbox_do", "varde-Inspector": "inspector_do", "varde-TriggerEvents": "trigger_do" };
    assert.deepEqual(Object.keys(newest).filter((object) => !found.some(([name]) => name === object)), []);
    for (const [object, version] of found) assert.equal(version, Number(count(newest[object])), object);
  });
});

describe("state that a later version left", { concurrency: false }, () => {
  /** One version on: a column more in every table, a table more, a field more in every JSON object at the top. */
  function advance() {
    let fields = 0;
    for (const name of databases(runtime.state).filter((name) => !name.endsWith("metadata.sqlite"))) {
      const database = new DatabaseSync(path.join(runtime.state, name));
      database.function("with_more", (text) => {
        if (typeof text !== "string" || !/^\{.*\}$/s.test(text)) return text;
        fields += 1;
        return JSON.stringify(more(JSON.parse(text)));
      });
      const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite_%'").all();
      for (const { name: table } of tables) {
        for (const { name: column, pk } of database.prepare(`PRAGMA table_info("${table}")`).all()) {
          if (pk === 0) database.exec(`UPDATE "${table}" SET "${column}" = with_more("${column}")`);
        }
        database.exec(`ALTER TABLE "${table}" ADD COLUMN of_a_later_version TEXT DEFAULT 'x'`);
      }
      database.exec("CREATE TABLE of_a_later_version (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID");
      database.exec("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'schema_version'");
      database.close();
    }
    return fields;
  }

  /** Objects whose fields are names that people chose. */
  const OPEN = new Set(["properties", "headers", "event", "outputs", "counts", "values", "static", "template", "default", "history", "rates", "actions"]);

  function more(value, name = "") {
    if (Array.isArray(value)) return value.map((item) => more(item, name));
    if (value === null || typeof value !== "object") return value;
    const inner = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, OPEN.has(key) && !Array.isArray(item) ? item : more(item, key)]));
    return Object.values(value).length === 1 && Object.keys(value)[0].match(/^(property|event|output|record|now|static|template)$/) ? inner : { ...inner, of_a_later_version: 1 };
  }

  it("doesn't stop this one", async () => {
    await runtime.restart();
    const slow = receiver.endpoint("/later", 503, 200);
    const retry = { first_ms: 4_000, factor: 1, max_ms: 4_000, jitter: 0 };
    await api.workflow("later", oneAction(slow.url, { retry, auth: { type: "bearer", secret: "shop" } }));
    const { id } = await api.enroll("later", contact("9"));
    await api.attempted("later", id, 1);
    await runtime.kill9();
    const earlier = versions();
    assert.ok(advance() > 50);
    await runtime.restart();
    api.described = false;

    const delivery = await api.settled("later", id, "delivered");
    assert.deepEqual(delivery.attempts.map(({ status }) => status), [503, 200]);
    assert.equal(slow.requests[1].headers["webhook-id"], slow.requests[0].headers["webhook-id"]);
    await api.enroll("later", contact("10"));
    const stats = await api.drained("later");
    assert.deepEqual([stats.accepted, stats.delivered], [2, 2]);
    for (const workflow of Object.keys(before.enrollments)) {
      await api.get(`/v1/workflows/${workflow}`);
      const found = await api.stats(workflow);
      assertBooksBalance(found);
      assert.deepEqual(COUNTS.map((name) => found[name] >= before.enrollments[workflow].stats[name]), COUNTS.map(() => true));
      assert.ok((await api.deliveries(workflow)).length >= 1);
      await now(workflow);
    }
    assert.equal((await api.all("/v1/secrets")).length, 2);
    await api.as(told.token).get("/v1/workflows");
    const { items } = await api.get(`/v1/workflows/waiting/triggers`);
    await api.get(`/v1/workflows/waiting/triggers/${items[0].id}/events`);

    await runtime.kill9();
    const later = versions();
    assert.deepEqual(
      later.filter(([object]) => object !== "varde-Outbox").sort(),
      earlier.map(([object, version]) => [object, version + 1]).filter(([object]) => object !== "varde-Outbox").sort(),
      "the version stays the later one, so that nothing is added twice when it comes back",
    );
  });
});
