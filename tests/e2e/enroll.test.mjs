/** Enrolling, looking things up, counting, pausing, and workflows of two actions. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";

import { assertBooksBalance } from "./support/api.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

/** Delivers something else, so that what should not have been sent has had its chance. */
let fences = 0;
async function fence() {
  const id = `fence-${++fences}`;
  await api.workflow(id, oneAction(receiver.endpoint(`/${id}`).url));
  await api.enroll(id, contact());
  await api.drained(id);
}

describe("an Idempotency-Key", { concurrency: true }, () => {
  it("gives the same answer again, and enrolls once", async () => {
    const endpoint = receiver.endpoint("/once");
    await api.workflow("once", oneAction(endpoint.url));
    const first = await api.enroll("once", contact(), { key: "order-1" });
    assert.equal(first.status, "running");
    await api.ended("once", first.id);
    assert.deepEqual(await api.enroll("once", contact(), { key: "order-1" }), first);
    await fence();
    assert.equal(endpoint.requests.length, 1);
    assert.equal((await api.stats("once")).accepted, 1);
  });

  it("holds when the same call comes many times at once", async () => {
    const endpoint = receiver.endpoint("/at-once");
    await api.workflow("at-once", oneAction(endpoint.url));
    const answers = await Promise.all(Array.from({ length: 20 }, () => api.enroll("at-once", contact(), { key: "k" })));
    assert.equal(new Set(answers.map(({ id }) => id)).size, 1);
    const stats = await api.drained("at-once");
    assert.deepEqual([stats.accepted, stats.delivered], [1, 1]);
    assert.equal(endpoint.requests.length, 1);
  });

  it("can't be used for another body", async () => {
    const endpoint = receiver.endpoint("/other-body");
    await api.workflow("other-body", oneAction(endpoint.url));
    await api.enroll("other-body", contact("51", { email: "a@example.com" }), { key: "k" });
    const call = [{ record: contact("51", { email: "b@example.com" }) }, { headers: { "idempotency-key": "k" } }];
    await api.refused(409, "POST", "/v1/workflows/other-body/enrollments", ...call);
    await api.drained("other-body");
    assert.equal((await api.stats("other-body")).accepted, 1);
  });

  it("belongs to its workflow and its record", async () => {
    const endpoint = receiver.endpoint("/whose-key");
    await api.workflow("whose-key", oneAction(endpoint.url));
    await api.workflow("whose-key-2", oneAction(endpoint.url));
    const { id: first } = await api.enroll("whose-key", contact("51"), { key: "k" });
    const { id: second } = await api.enroll("whose-key", contact("52"), { key: "k" });
    const { id: third } = await api.enroll("whose-key-2", contact("51"), { key: "k" });
    assert.equal(new Set([first, second, third]).size, 3);
    await endpoint.waitFor(3);
  });

  it("isn't needed: without one, every call enrolls", async () => {
    const endpoint = receiver.endpoint("/no-key");
    await api.workflow("no-key", oneAction(endpoint.url));
    const { id: first } = await api.enroll("no-key", contact());
    const { id: second } = await api.enroll("no-key", contact());
    assert.notEqual(first, second);
    assert.equal((await api.drained("no-key")).delivered, 2);
  });
});

describe("a batch", { concurrency: true }, () => {
  it("enrolls what is good, and says what is wrong with the rest, in the order of its inputs", async () => {
    const endpoint = receiver.endpoint("/batch");
    await api.workflow("batch", oneAction(endpoint.url));
    const { results } = await api.enrollBatch("batch", [
      { record: contact("1") },
      { record: { properties: {} } },
      { record: contact("2"), event: { order: 7 } },
      { record: contact("3"), colour: "blue" },
      { record: contact("4") },
    ]);
    assert.equal(results.length, 5);
    for (const good of [0, 2, 4]) assert.match(results[good].id, /^enr_/);
    for (const bad of [1, 3]) {
      assert.equal(results[bad].id, undefined);
      assert.equal(results[bad].status, 422);
      assert.match(results[bad].code, /^[a-z][a-z0-9_]*$/);
      assert.ok(results[bad].errors.length > 0);
    }
    const stats = await api.drained("batch");
    assert.deepEqual([stats.accepted, stats.delivered], [3, 3]);
    const records = await Promise.all([0, 2, 4].map(async (n) => (await api.enrollment("batch", results[n].id)).record.id));
    assert.deepEqual(records, ["1", "2", "4"]);
  });

  it("has a key for each input", async () => {
    const endpoint = receiver.endpoint("/batch-keys");
    await api.workflow("batch-keys", oneAction(endpoint.url));
    const input = { record: contact("1"), idempotency_key: "k" };
    const { results } = await api.enrollBatch("batch-keys", [input, { ...input, record: contact("2") }]);
    const again = await api.enrollBatch("batch-keys", [input, input, { ...input, event: { other: true } }]);
    assert.equal(again.results[0].id, results[0].id);
    assert.equal(again.results[1].id, results[0].id);
    assert.equal(again.results[2].status, 409);
    const { id } = await api.enroll("batch-keys", contact("2"), { key: "k" });
    assert.equal(id, results[1].id, "the key of a batch's input and the header are one and the same");
    assert.equal((await api.drained("batch-keys")).accepted, 2);
  });

  it("of a hundred goes out, over several shards as well", async () => {
    const endpoint = receiver.endpoint("/hundred");
    await api.workflow("hundred", oneAction(endpoint.url, {}, { shards: 4 }));
    const inputs = Array.from({ length: 100 }, (_, n) => ({ record: contact(`${n}`) }));
    const { results } = await api.enrollBatch("hundred", inputs);
    assert.equal(new Set(results.map(({ id }) => id)).size, 100);
    const stats = await api.drained("hundred");
    assert.deepEqual([stats.accepted, stats.delivered], [100, 100]);
    assert.equal(new Set(endpoint.requests.map(({ headers }) => headers["webhook-id"])).size, 100);
    assert.equal((await api.deliveries("hundred")).length, 100);
  });

  it("has one to a hundred inputs", async () => {
    const endpoint = receiver.endpoint("/batch-size");
    await api.workflow("batch-size", oneAction(endpoint.url));
    const batch = "/v1/workflows/batch-size/enrollments/batch";
    await api.refused(422, "POST", batch, { inputs: [] });
    await api.refused(422, "POST", batch, { inputs: Array.from({ length: 101 }, (_, n) => ({ record: contact(`${n}`) })) });
    assert.equal((await api.stats("batch-size")).accepted, 0);
  });
});

describe("a look-up", { concurrency: true }, () => {
  it("of an enrollment shows record, event, outputs and deliveries", async () => {
    const endpoint = receiver.endpoint("/look-up", { body: '{"order":{"id":"A-1"}}', headers: { "content-type": "application/json" } });
    const outputs = [{ name: "order_id", pointer: "/order/id", type: "string" }];
    await api.workflow("look-up", oneAction(endpoint.url, { outputs }));
    const record = contact("51", { email: "ada@example.com", nested: { a: [1] } });
    const { id } = await api.enroll("look-up", record, { event: { order_no: 7 } });
    const found = await api.ended("look-up", id);
    assert.equal(found.id, id);
    assert.equal(found.workflow, "look-up");
    assert.equal(found.status, "completed");
    assert.deepEqual(found.record, record);
    assert.deepEqual(found.event, { order_no: 7 });
    assert.deepEqual(found.outputs, { tell: { order_id: "A-1" } });
    assert.equal(found.deliveries.length, 1);
    assert.equal(found.deliveries[0].status, "delivered");
    assert.ok(found.created_at <= found.ended_at && found.ended_at <= Date.now());
  });

  it("of what isn't there is a 404", async () => {
    await api.workflow("empty", oneAction(receiver.endpoint("/empty").url));
    const absent = "00000000000000000000000000";
    for (const path of [
      "/v1/workflows/absent",
      "/v1/workflows/absent/stats",
      "/v1/workflows/absent/enrollments",
      "/v1/workflows/absent/deliveries",
      `/v1/workflows/absent/enrollments/enr_${absent}`,
      `/v1/workflows/empty/enrollments/enr_${absent}`,
      `/v1/workflows/empty/deliveries/dlv_${absent}`,
      "/v1/workflows/empty/enrollments/nonsense",
      "/v1/workflows/empty/deliveries/nonsense",
      `/v1/workflows/empty/deliveries/enr_${absent}`,
    ]) {
      await api.refused(404, "GET", path);
    }
    await api.refused(404, "POST", "/v1/workflows/absent/enrollments", { record: contact() });
    await api.refused(404, "POST", "/v1/workflows/empty/actions/absent/pause");
  });

  it("does not find one workflow's delivery in another", async () => {
    await api.workflow("mine", oneAction(receiver.endpoint("/mine").url));
    await api.workflow("yours", oneAction(receiver.endpoint("/yours").url));
    const { id } = await api.enroll("mine", contact());
    const delivery = await api.deliveryOf("mine", id);
    await api.refused(404, "GET", `/v1/workflows/yours/enrollments/${id}`);
    await api.refused(404, "GET", `/v1/workflows/yours/deliveries/${delivery.id}`);
  });
});

describe("a list", () => {
  /** Enrollments in the order of their creation. */
  const enrolled = [];

  before(async () => {
    // Odd records are refused, even ones taken; the second action takes all.
    const picky = receiver.endpoint("/picky", ({ text }) => (Number(JSON.parse(text).id) % 2 ? 404 : 200));
    const easy = receiver.endpoint("/easy");
    const body = { kind: "properties", fields: [{ name: "id", value: { record: "id" } }] };
    const definition = oneAction(picky.url, { id: "picky", body });
    definition.actions.push({ ...definition.actions[0], id: "easy", url: easy.url });
    await api.workflow("listed", definition);
    for (let n = 0; n < 6; n++) {
      const { id } = await api.enroll("listed", contact(`${n}`));
      await api.ended("listed", id);
      enrolled.push(id);
    }
  });

  it("of enrollments is newest first, in pages that neither skip nor repeat", async () => {
    const newestFirst = enrolled.toReversed();
    const path = "/v1/workflows/listed/enrollments";
    const ids = async (query) => (await api.all(path, query)).map(({ id }) => id);
    assert.deepEqual(await ids(), newestFirst);
    for (const limit of [1, 4, 6, 100]) assert.deepEqual(await ids({ limit }), newestFirst, `limit ${limit}`);
    const page = await api.get(`${path}?limit=4`);
    assert.equal(page.items.length, 4);
    assert.equal(typeof page.next_cursor, "string");
  });

  it("of deliveries is newest first, in pages that neither skip nor repeat", async () => {
    const all = await api.deliveries("listed");
    assert.equal(all.length, 12);
    const times = all.map(({ created_at }) => created_at);
    assert.deepEqual(times, times.toSorted((a, b) => b - a));
    for (const limit of [1, 5, 12]) {
      assert.deepEqual((await api.deliveries("listed", { limit })).map(({ id }) => id), all.map(({ id }) => id));
    }
    for (const one of all) {
      assert.equal(one.request, undefined, "a list carries no requests");
      assert.equal(one.attempts, undefined, "a list carries no attempts");
    }
  });

  it("of deliveries can be narrowed by status, action, record and time, and by all at once", async () => {
    const described = async (query) =>
      (await api.deliveries("listed", query)).map(({ record, action, status }) => `${record} ${action} ${status}`).sort();
    assert.deepEqual(await described({ status: "rejected" }), ["1 picky rejected", "3 picky rejected", "5 picky rejected"]);
    assert.equal((await described({ status: "delivered" })).length, 9);
    assert.deepEqual(await described({ status: "exhausted" }), []);
    assert.equal((await described({ action: "easy" })).length, 6);
    assert.deepEqual(await described({ record: "2" }), ["2 easy delivered", "2 picky delivered"]);
    assert.deepEqual(await described({ record: "3", action: "picky", status: "rejected", limit: 1 }), ["3 picky rejected"]);
    assert.deepEqual(await described({ record: "3", action: "picky", status: "delivered" }), []);

    const { created_at: since } = await api.enrollment("listed", enrolled[2]);
    const { created_at: until } = await api.enrollment("listed", enrolled[4]);
    const records = new Set((await api.deliveries("listed", { since, until: until - 1 })).map(({ record }) => record));
    assert.ok(["2", "3"].every((record) => records.has(record)), `${[...records]}`);
    assert.ok(["0", "1", "5"].every((record) => !records.has(record)), `${[...records]}`);
  });

  it("refuses a filter that means nothing", async () => {
    for (const query of ["limit=0", "limit=101", "limit=x", "status=lost", "since=yesterday", "cursor=!", "colour=blue"]) {
      await api.refused(422, "GET", `/v1/workflows/listed/deliveries?${query}`);
    }
  });
});

describe("the books", { concurrency: true }, () => {
  it("balance at any moment, whatever became of the deliveries", async () => {
    const answers = { delivered: 200, rejected: 404, exhausted: 503, open: 503 };
    const endpoint = receiver.endpoint("/books", ({ text }) => answers[JSON.parse(text).fate]);
    const body = { kind: "properties", fields: [{ name: "fate", value: { property: "fate" } }] };
    const retry = { ...quickly, max_age_ms: 300 };
    await api.workflow("books", oneAction(endpoint.url, { body, retry }));
    const fates = ["delivered", "rejected", "delivered", "exhausted", "delivered"];
    for (const [n, fate] of fates.entries()) {
      await api.enroll("books", contact(`${n}`, { fate }));
      assertBooksBalance(await api.stats("books"));
    }
    let stats = await api.drained("books");
    assert.deepEqual(
      [stats.accepted, stats.delivered, stats.rejected, stats.exhausted, stats.canceled, stats.open],
      [5, 3, 1, 1, 0, 0],
    );
    assert.equal(stats.oldest_open_due, undefined);

    await api.workflow("books", oneAction(endpoint.url, { body, retry: { ...quickly, first_ms: 60_000, max_ms: 60_000 } }));
    const { id } = await api.enroll("books", contact("9", { fate: "open" }));
    const { next_due } = await api.attempted("books", id, 1);
    stats = await api.stats("books");
    assertBooksBalance(stats);
    assert.deepEqual([stats.accepted, stats.open], [6, 1]);
    assert.equal(stats.oldest_open_due, next_due);
    assert.equal(stats.actions.tell.state, "active");
  });
});

describe("a pause", { concurrency: true }, () => {
  for (const [id, path] of [
    ["paused-action", "/v1/workflows/paused-action/actions/tell"],
    ["paused-workflow", "/v1/workflows/paused-workflow"],
  ]) {
    it(`holds what is new, and a resume lets it go (${id})`, async () => {
      const endpoint = receiver.endpoint(`/${id}`);
      await api.workflow(id, oneAction(endpoint.url));
      await api.done("POST", `${path}/pause`);
      const { id: enrollment } = await api.enroll(id, contact());
      await api.settled(id, enrollment, "held");
      await fence();
      assert.equal(endpoint.requests.length, 0);
      assert.equal((await api.stats(id)).open, 1);

      await api.done("POST", `${path}/resume`);
      await endpoint.waitFor(1);
      assert.equal((await api.drained(id)).delivered, 1);
    });
  }

  it("holds what waits for its retry", async () => {
    const endpoint = receiver.endpoint("/paused-retry", 503, 200);
    await api.workflow("paused-retry", oneAction(endpoint.url, { retry: { ...quickly, first_ms: 1_500, max_ms: 1_500 } }));
    const { id } = await api.enroll("paused-retry", contact());
    await api.attempted("paused-retry", id, 1);
    await api.done("POST", "/v1/workflows/paused-retry/actions/tell/pause");
    const { next_due } = await api.settled("paused-retry", id, "held");
    assert.equal(next_due, undefined, "what is held has no due");
    await api.done("POST", "/v1/workflows/paused-retry/actions/tell/resume");
    await api.settled("paused-retry", id, "delivered");
    assert.equal(endpoint.requests.length, 2);
  });

  it("twice is a pause once, and so is a resume", async () => {
    await api.workflow("paused-twice", oneAction(receiver.endpoint("/paused-twice").url));
    for (const verb of ["pause", "pause"]) await api.done("POST", `/v1/workflows/paused-twice/actions/tell/${verb}`);
    assert.equal((await api.stats("paused-twice")).actions.tell.state, "paused");
    for (const verb of ["resume", "resume"]) await api.done("POST", `/v1/workflows/paused-twice/actions/tell/${verb}`);
    assert.equal((await api.stats("paused-twice")).actions.tell.state, "active");
  });
});

describe("two actions", { concurrency: true }, () => {
  const outputs = [
    { name: "order_id", pointer: "/order/id", type: "string" },
    { name: "total", pointer: "/order/total", type: "number" },
  ];

  /** A workflow whose second action tells what the first one was answered. */
  async function chain(id, replies, first = {}) {
    const ask = receiver.endpoint(`/${id}/ask`, ...replies);
    const tell = receiver.endpoint(`/${id}/tell`);
    const definition = oneAction(ask.url, { id: "ask", outputs, ...first });
    definition.actions.push({
      ...definition.actions[0],
      id: "tell",
      url: tell.url,
      outputs: [],
      on_failure: "continue",
      query: [{ name: "order", value: { output: "ask.order_id" } }],
      body: { kind: "properties", fields: [{ name: "total", value: { output: "ask.total" } }] },
    });
    await api.workflow(id, definition);
    const { id: enrollment } = await api.enroll(id, contact());
    return { ask, tell, enrollment };
  }

  it("go out one after the other, and the second knows what the first was answered", async () => {
    const answer = { headers: { "content-type": "application/json" }, body: '{"order":{"id":"A/1","total":12.5}}' };
    const { ask, tell, enrollment } = await chain("chain", [503, answer]);
    const found = await api.ended("chain", enrollment);
    assert.equal(found.status, "completed");
    assert.deepEqual(found.outputs.ask, { order_id: "A/1", total: 12.5 });
    assert.deepEqual(found.deliveries.map(({ action, status }) => [action, status]), [
      ["ask", "delivered"],
      ["tell", "delivered"],
    ]);
    const [request] = tell.requests;
    assert.equal(new URL(request.url).searchParams.get("order"), "A/1");
    assert.equal(request.text, '{"total":12.5}');
    assert.equal(ask.requests.length, 2);
    assert.ok(request.at >= ask.requests[1].answeredAt, "the second waits for the first to end");
    assert.notEqual(request.headers["webhook-id"], ask.requests[0].headers["webhook-id"]);
    const stats = await api.drained("chain");
    assert.deepEqual([stats.accepted, stats.actions.ask.delivered, stats.actions.tell.delivered], [2, 1, 1]);
  });

  it("go on after a failure, but nothing is sent where an output is missing", async () => {
    const { tell, enrollment } = await chain("missing", [404]);
    const found = await api.ended("missing", enrollment);
    assert.equal(found.status, "completed");
    assert.deepEqual(found.deliveries.map(({ action, status, reason }) => [action, status, reason]), [
      ["ask", "rejected", "http_404"],
      ["tell", "rejected", "missing_output"],
    ]);
    assert.deepEqual((await api.deliveryOf("missing", enrollment, "tell")).attempts, []);
    assert.equal(tell.requests.length, 0);
    await api.drained("missing");
  });

  it("stop after a failure where the action says so", async () => {
    const { tell, enrollment } = await chain("stopped", [404], { on_failure: "stop" });
    const found = await api.ended("stopped", enrollment);
    assert.equal(found.status, "failed");
    assert.deepEqual(found.deliveries.map(({ action }) => action), ["ask"]);
    assert.equal(tell.requests.length, 0);
    assert.equal((await api.drained("stopped")).accepted, 1);
  });
});
