/** Order per record, and rate limits over all shards. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, oneAction, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const ordered = (url, action) => oneAction(url, { body: { kind: "properties", fields: [{ name: "n", value: { event: "n" } }] }, ...action }, { ordering: "record" });
const numbers = ({ requests }) => requests.map(({ text }) => JSON.parse(text).n);

describe('"ordering": "record"', { concurrency: true }, () => {
  it("sends a record's deliveries one by one, in the order of their acceptance, while others go on", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/ordered", ({ text }) => (down && JSON.parse(text).n !== "other" ? 503 : 200));
    await api.workflow("ordered", ordered(endpoint.url, { retry: { first_ms: 500, factor: 1, max_ms: 500, jitter: 0 } }));
    const first = await api.enroll("ordered", contact("1"), { event: { n: 0 } });
    await endpoint.waitFor(1);
    const batch = await api.enrollBatch("ordered", [1, 2, 3].map((n) => ({ record: contact("1"), event: { n } })));
    await api.enroll("ordered", contact("2"), { event: { n: "other" } });
    await until("the other record's", () => numbers(endpoint).includes("other"));

    const second = await api.deliveryOf("ordered", batch.results[0].id);
    assert.deepEqual([second.status, second.reason, second.next_due, second.attempts], ["scheduled", "waits_for_earlier", undefined, []]);
    assert.ok(numbers(endpoint).every((n) => n === 0 || n === "other"), "nothing overtakes the first, which is being retried");

    down = false;
    await api.drained("ordered");
    assert.equal((await api.enrollment("ordered", first.id)).status, "completed");
    const arrived = numbers(endpoint).filter((n, at, all) => n !== "other" && all.indexOf(n) === at);
    assert.deepEqual(arrived, [0, 1, 2, 3]);
    for (const [at, request] of endpoint.requests.entries()) {
      const before = endpoint.requests.slice(0, at).filter((one) => numbers({ requests: [one] })[0] < numbers({ requests: [request] })[0]);
      assert.ok(before.every(({ answeredAt }) => answeredAt <= request.at), "an earlier one has ended before the next one starts");
    }
  });

  it("keeps the order in later actions, too", async () => {
    // The later the faster: without a line the last one would be the first at the second action.
    const one = receiver.endpoint("/ordered-one", ({ text }) => ({ status: 200, delayMs: 500 - 100 * JSON.parse(text).n }));
    const two = receiver.endpoint("/ordered-two");
    const workflow = ordered(one.url);
    const [action] = workflow.actions;
    await api.workflow("ordered-two", { ...workflow, actions: [action, { ...action, id: "then", url: two.url }] });
    await api.enrollBatch("ordered-two", [0, 1, 2, 3, 4].map((n) => ({ record: contact("1"), event: { n } })));
    await api.drained("ordered-two");
    assert.deepEqual([numbers(one), numbers(two)], [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
  });

  it("moves on when the first is canceled, refused, or released", async () => {
    const endpoint = receiver.endpoint("/ordered-ends", { fault: "hold" }, 404, 200);
    await api.workflow("ordered-ends", ordered(endpoint.url));
    const batch = await api.enrollBatch("ordered-ends", [0, 1, 2].map((n) => ({ record: contact("1"), event: { n } })));
    await endpoint.waitForHeld(1);
    const stuck = await api.deliveryOf("ordered-ends", batch.results[0].id);
    await api.done("POST", "/v1/workflows/ordered-ends/actions/tell/pause");
    await api.done("POST", `/v1/workflows/ordered-ends/deliveries/${stuck.id}/cancel`);
    const second = await api.settled("ordered-ends", batch.results[1].id, "held");
    assert.equal(second.reason, "paused");
    await api.done("POST", "/v1/workflows/ordered-ends/actions/tell/resume");
    const stats = await api.drained("ordered-ends");
    assert.deepEqual([stats.canceled, stats.rejected, stats.delivered], [1, 1, 1]);
    assert.deepEqual(numbers(endpoint), [0, 1, 2]);
  });

  it("is no obstacle to a deletion that cancels what is open", async () => {
    const endpoint = receiver.endpoint("/ordered-deleted", 503);
    await api.workflow("ordered-deleted", ordered(endpoint.url, { retry: { first_ms: 60_000 } }));
    await api.enrollBatch("ordered-deleted", [0, 1, 2].map((n) => ({ record: contact("1"), event: { n } })));
    await endpoint.waitFor(1);
    await api.refused(409, "DELETE", "/v1/workflows/ordered-deleted");
    await api.expect(204, "DELETE", "/v1/workflows/ordered-deleted?open=cancel");
  });
});

const limits = { requests: 20, per_ms: 1_000 };
const records = (count) => Array.from({ length: count }, (_, n) => ({ record: contact(`${n}`) }));

describe("rate_limit", { concurrency: true }, () => {
  /** The most attempts that begin within ten seconds, by the outboxes' clocks. */
  async function mostInTenSeconds(workflow) {
    const ids = (await api.deliveries(workflow, { limit: 100 })).map(({ id }) => id);
    const found = await Promise.all(ids.map((id) => api.delivery(workflow, id)));
    const starts = found.flatMap(({ attempts }) => attempts.map(({ started_at }) => started_at)).sort((a, b) => a - b);
    return Math.max(...starts.map((from, at) => starts.slice(at).filter((start) => start < from + 10_000).length));
  }

  for (const shards of [1, 8]) {
    it(`holds over ${shards === 1 ? "one shard" : `${shards} shards`}, retries included`, async (t) => {
      const id = `limited-${shards}`;
      const endpoint = receiver.endpoint(`/${id}`, (_, index) => (index % 10 === 0 ? 503 : 200));
      await api.workflow(id, oneAction(endpoint.url, { rate_limit: limits }, { shards }));
      for (let from = 0; from < 240; from += 80) await api.enrollBatch(id, records(240).slice(from, from + 80));
      const stats = await api.drained(id);
      assert.equal(stats.delivered, 240);
      const most = await mostInTenSeconds(id);
      const seconds = (endpoint.requests.at(-1).at - endpoint.requests[0].at) / 1_000;
      t.diagnostic(`${endpoint.requests.length} requests in ${seconds} s, at most ${most} began within ten seconds`);
      assert.ok(most <= 210 + 1, `${most} in ten seconds, where 200 are allowed`);
    });
  }

  it("can be changed while deliveries wait", async () => {
    const endpoint = receiver.endpoint("/relimited");
    const workflow = (rate_limit) => oneAction(endpoint.url, { rate_limit });
    await api.workflow("relimited", workflow({ requests: 1, per_ms: 3_600_000 }));
    await api.enrollBatch("relimited", records(30));
    await endpoint.waitFor(1);
    assert.equal((await api.stats("relimited")).open >= 29, true);
    await api.workflow("relimited", workflow({ requests: 1_000, per_ms: 1_000 }));
    await api.drained("relimited");
    assert.equal(endpoint.requests.length, 30);
  });
});

// By itself: the kill would meet the other stories.
describe("a rate limit and a kill -9", () => {
  it("lose nothing", async () => {
    const endpoint = receiver.endpoint("/limited-killed");
    await api.workflow("limited-killed", oneAction(endpoint.url, { timeout_ms: 10_000, rate_limit: limits }, { shards: 4 }));
    await api.enrollBatch("limited-killed", records(60));
    await endpoint.waitFor(20);
    await runtime.kill9();
    await runtime.restart();
    const stats = await api.drained("limited-killed");
    assert.equal(stats.delivered, 60);
  });
});

describe("a workflow of two actions and a restart between them", () => {
  it("gives the first one's output to the second", async () => {
    const one = receiver.endpoint("/restart-one", {
      status: 200,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ order: { id: 4711 } }),
    });
    let down = true;
    const two = receiver.endpoint("/restart-two", () => (down ? 503 : 200));
    const { actions: [action], ...workflow } = oneAction(one.url, { outputs: [{ name: "order_id", pointer: "/order/id", type: "number" }] });
    const retry = { first_ms: 4_000, factor: 1, max_ms: 4_000, jitter: 0 };
    const then = { ...action, id: "then", url: two.url, outputs: [], retry, body: { kind: "json", template: { order: "{{ outputs.tell.order_id }}" } } };
    await api.workflow("restart", { ...workflow, actions: [action, then] });
    const paused = "/v1/workflows/restart/actions/then";
    await api.done("POST", `${paused}/pause`);
    const { id } = await api.enroll("restart", contact());
    await until("the first to have ended and the second to wait", async () => {
      const { deliveries } = await api.enrollment("restart", id);
      return deliveries[0]?.status === "delivered" && deliveries[1]?.status === "held";
    });
    await runtime.kill9();
    await runtime.restart();
    down = false;
    await api.done("POST", `${paused}/resume`);
    const enrollment = await api.ended("restart", id);
    assert.equal(enrollment.status, "completed");
    assert.deepEqual(enrollment.outputs.tell, { order_id: 4711 });
    assert.deepEqual([one.requests.length, JSON.parse(two.requests[0].text)], [1, { order: 4711 }]);
  });
});

describe("an enrollment whose next step nobody could render", () => {
  it("keeps its place in front of the others of its record", async () => {
    const endpoint = receiver.endpoint("/between", { fault: "hold" }, 200);
    const then = receiver.endpoint("/between-then");
    const workflow = ordered(endpoint.url, { timeout_ms: 4_000, retry: { max_age_ms: 0 } });
    const [action] = workflow.actions;
    await api.workflow("between", { ...workflow, actions: [action, { ...action, id: "then", url: then.url }] });
    const first = await api.enroll("between", contact("1"), { event: { n: 0 } });
    await endpoint.waitForHeld(1);
    // Its sender dies; the lease ends while nobody can look the workflow up.
    await runtime.kill9();
    await runtime.restart();
    await api.done("POST", "/__testing/registry/down");
    await new Promise((resolve) => setTimeout(resolve, 12_000));
    await api.done("POST", "/__testing/registry/up");

    const second = await api.enroll("between", contact("1"), { event: { n: 1 } });
    const waiting = await api.deliveryOf("between", second.id);
    assert.deepEqual([waiting.status, waiting.reason], ["scheduled", "waits_for_earlier"]);
    const canceled = await api.enroll("between", contact("1"), { event: { n: 2 } });
    await api.done("POST", `/v1/workflows/between/deliveries/${(await api.deliveryOf("between", canceled.id)).id}/cancel`);
    assert.equal((await api.deliveryOf("between", second.id)).reason, "waits_for_earlier", "a cancel behind it moves nothing");

    await api.done("POST", "/__testing/clock?ahead_ms=60000");
    await api.done("POST", "/__testing/sweep");
    await api.drained("between");
    assert.deepEqual([(await api.enrollment("between", first.id)).status, numbers(then)], ["completed", [0, 1]]);
  });
});
