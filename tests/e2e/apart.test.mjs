/**
 * What goes wrong with one delivery, or with one part of what an outbox knows, stays there: the others go on.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { assertBooksBalance } from "./support/api.mjs";
import { askOutboxes, changeOutboxes } from "./support/rows.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

/** Every statement fails that has a text among its values. */
const fail = (query) => api.done("POST", `/__testing/fail-statement?${new URLSearchParams(query)}`);
const idOf = ({ headers }) => headers["webhook-id"];
const records = (count) => Array.from({ length: count }, (_, n) => ({ record: contact(`${n}`) }));

async function whileDown(change) {
  await runtime.kill9();
  const result = await change();
  await runtime.restart();
  return result;
}

describe("a statement that fails whenever it is about one thing", () => {
  for (const fault of ["an error", "a panic"]) {
    it(`${fault} in an accept: those that come with it are taken in`, async () => {
      const name = fault.replaceAll(" ", "-");
      const endpoint = receiver.endpoint(`/${name}`);
      await api.workflow(name, oneAction(endpoint.url));
      await api.enroll(name, contact("warm"));
      await fail(fault === "a panic" ? { about: "poison", panic: "" } : { about: "poison" });
      const records = ["1", "2", "poison", "3"];
      const calls = records.map((id) => api.call("POST", `/v1/workflows/${name}/enrollments`, { json: { record: contact(id) } }));
      assert.deepEqual((await Promise.all(calls)).map(({ status }) => status), [202, 202, 503, 202]);
      const { results } = await api.enrollBatch(name, records.map((id) => ({ record: contact(id) })));
      assert.deepEqual(results.map(({ id }) => id !== undefined), [true, true, false, true]);
      await fail({});
      const stats = await api.drained(name);
      assert.deepEqual([stats.accepted, stats.delivered], [7, 7]);
    });
  }

  it("at a lease's end and at a due: the others' ends and dues go on", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/ends", () => (down ? { fault: "hold" } : 200));
    await api.workflow("ends", oneAction(endpoint.url, { timeout_ms: 1_000 }));
    const { results } = await api.enrollBatch("ends", records(4));
    await endpoint.waitForHeld(4);
    const [stuck] = (await api.deliveries("ends")).filter(({ enrollment }) => enrollment === results[0].id);
    // Their senders can't tell: all four leases end at about the same time.
    await api.done("POST", "/__testing/outbox/down");
    await fail({ about: stuck.id });
    endpoint.release(200);
    down = false;
    const sent = endpoint.requests.length;
    await until("their senders to have given up", () => runtime.output().split('"code":"settle_lost"').length > 4);
    await api.done("POST", "/__testing/outbox/up");
    await endpoint.waitFor(sent + 3);
    const again = endpoint.requests.slice(sent).map(idOf);
    assert.ok(!again.includes(stuck.id), "the one that fails waits");
    assert.equal(new Set(again).size, 3);
    await fail({});
    const stats = await api.drained("ends");
    assert.deepEqual([stats.accepted, stats.delivered], [4, 4]);
  });
});

describe("what an outbox knows about itself and can't read any more", () => {
  it("doesn't stop its deliveries, and the sweep brings it again", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/meta", () => (down ? 503 : 200));
    await api.workflow("meta", oneAction(endpoint.url, { retry: { ...quickly, first_ms: 500, max_ms: 500 } }));
    const { id } = await api.enroll("meta", contact());
    await api.attempted("meta", id, 1);
    const isOurs = `EXISTS (SELECT 1 FROM deliveries WHERE enrollment = '${id}')`;
    await whileDown(() => {
      const damage = `UPDATE meta SET value = '{"no' WHERE key IN ('home', 'controls', 'untold') AND ${isOurs}`;
      assert.ok(changeOutboxes(runtime, damage) >= 2);
      changeOutboxes(runtime, `INSERT INTO counters (action, counts) SELECT 'No Slug', '{}' WHERE ${isOurs}`);
    });
    down = false;
    assertBooksBalance(await api.stats("meta"));
    await api.get("/__testing/sweep");
    await api.settled("meta", id, "delivered");
    await whileDown(() => {
      const [{ value }] = askOutboxes(runtime, `SELECT value FROM meta WHERE key = 'home' AND ${isOurs}`);
      assert.equal(JSON.parse(value).workflow, "meta");
    });
  });

  it("however many rows were set aside, all go on that can be read again", async () => {
    const COUNT = 600;
    let down = true;
    const endpoint = receiver.endpoint("/many-aside", () => (down ? 503 : 200));
    await api.workflow("many-aside", oneAction(endpoint.url, { retry: { ...quickly, first_ms: 20_000, max_ms: 20_000 } }));
    for (let from = 0; from < COUNT; from += 100) await api.enrollBatch("many-aside", records(COUNT).slice(from, from + 100));
    await until("all to have failed once", async () => (await api.stats("many-aside")).attempts.retry === COUNT);
    const mine = `action = 'tell' AND lane = 0 AND (SELECT count(*) FROM deliveries) >= ${COUNT}`;
    await whileDown(() => {
      // As a version would leave them that could not read them, and this one can; and due.
      assert.equal(changeOutboxes(runtime, `UPDATE deliveries SET lane = 4 WHERE ${mine}`), COUNT);
    });
    down = false;
    const taken = await until("all to be taken up", async () => {
      const stats = await api.stats("many-aside");
      return !stats.set_aside && stats;
    });
    assertBooksBalance(taken);
    const stats = await api.drained("many-aside");
    assert.equal(stats.delivered, COUNT);
  });
});

describe("one who doesn't answer in time", () => {
  it("a slow registry makes no sender outlast its lease: nothing is sent twice", async () => {
    // Just within its timeout.
    const endpoint = receiver.endpoint("/slow", 503, { status: 200, delayMs: 800 }, 200);
    await api.secret("slow-key", "first of two");
    const patient = { timeout_ms: 1_000, retry: { ...quickly, first_ms: 30_000, max_ms: 30_000 } };
    await api.workflow("slow", oneAction(endpoint.url, { ...patient, auth: { type: "bearer", secret: "slow-key" } }));
    const { id } = await api.enroll("slow", contact());
    await api.attempted("slow", id, 1);
    // The delivery needs the key that it was rendered with, and the workflow names none any more: a sender
    // asks for the workflow, which it has and may use, and then for the secret.
    await api.workflow("slow", oneAction(endpoint.url, patient));
    const delivery = await api.deliveryOf("slow", id);
    await api.done("POST", "/__testing/registry/slow?ms=2500");
    await api.done("POST", "/__testing/clock?ahead_ms=31000");
    await api.done("POST", "/__testing/ring?workflow=slow");
    await until("a lease to be given back", async () => (await api.delivery("slow", delivery.id)).reason === "registry_unreachable");
    await api.done("POST", "/__testing/registry/up");
    const { attempts } = await api.settled("slow", id, "delivered");
    await api.done("POST", "/__testing/clock?ahead_ms=0");
    assert.deepEqual([attempts.length, endpoint.requests.length], [2, 2]);
  });

  it("a shard 0 that gives no slots away doesn't hold up what needs none", async () => {
    const free = receiver.endpoint("/free", { fault: "hold" }, 200);
    const limited = receiver.endpoint("/limited");
    const plain = { type: "webhook", method: "POST", retry: quickly };
    const actions = [
      { ...plain, id: "free", url: free.url },
      { ...plain, id: "limited", url: limited.url, rate_limit: { requests: 10, per_ms: 60_000 } },
    ];
    await api.workflow("silent", { name: "Two steps", object_type: "contact", shards: 64, actions });
    // Two of the same record, so of the same shard, which isn't shard 0; one is at the second step.
    await api.enroll("silent", contact("other"));
    await free.waitForHeld(1);
    await api.done("POST", "/v1/workflows/silent/pause");
    free.release(200);
    await api.enroll("silent", contact("other"));
    await until("both to be held", async () => (await api.deliveries("silent", { status: "held" })).length === 2);
    await api.done("POST", "/__testing/slots/silent");
    const unanswered = () => runtime.output().split('"code":"no_slots"').length - 1;
    const before = unanswered();
    await api.done("POST", "/v1/workflows/silent/resume");
    await free.waitFor(2);
    assert.equal(unanswered(), before, "it was sent while shard 0 was still waited for");
    await until("shard 0 to have been given up", () => unanswered() > before);
    assert.equal(limited.requests.length, 0);
    await api.done("POST", "/__testing/slots/given");
    await api.drained("silent");
  });
});
