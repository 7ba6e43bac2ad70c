/** The circuit breaker, and what people hear of it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const inputs = (count) => Array.from({ length: count }, (_, n) => ({ record: contact(`${n}`) }));
let ahead = 0;
/** Moves the clock on, and lets the outboxes look at it. */
async function pass(ms) {
  ahead += ms;
  await fetch(`${runtime.url}/__testing/clock?ahead_ms=${ahead}`);
  await fetch(`${runtime.url}/__testing/sweep`);
}
/** What an endpoint was told, each event once: where the clock jumps while one is on its way, its lease ends and it comes again. */
const eventsIn = ({ requests }) => [...new Map(requests.map(({ headers, text }) => [headers["webhook-id"], JSON.parse(text)])).values()];
const breaker = async (id) => (await api.stats(id)).actions.tell.breaker;

describe("an endpoint that is down", () => {
  it("is asked now and then, while everybody else waits and loses no attempt", async () => {
    const events = receiver.endpoint("/events");
    const [{ ...action }] = oneAction(events.url).actions;
    await api.workflow("operations", { name: "Tell us", object_type: "ticket", actions: [{ ...action, body: { kind: "json", template: "{{ event }}" } }] });
    let down = true;
    const endpoint = receiver.endpoint("/down", () => (down ? 503 : 200));
    const retry = { ...quickly, first_ms: 300, max_ms: 300, max_age_ms: 3_600_000 };
    await api.workflow("down", oneAction(endpoint.url, { retry }));
    const { id } = await api.enroll("down", contact("first"));
    await endpoint.waitFor(9);
    assert.equal(await breaker("down"), undefined, "a bad moment opens nothing");

    await pass(61_000);
    await until("the breaker to open", () => breaker("down"));
    const first = await api.deliveryOf("down", id);
    assert.deepEqual([first.status, first.reason], ["scheduled", "breaker_open"]);
    const waiting = await api.enrollBatch("down", inputs(40));
    const before = endpoint.requests.length;
    const { open_since, next_probe } = await breaker("down");
    // Dice take up to a tenth off, so that shards don't ask in step.
    assert.ok(next_probe > open_since + 26_999 && next_probe <= open_since + 30_000, `${next_probe - open_since} ms`);

    await pass(31_000);
    await endpoint.waitFor(before + 1);
    const after = await until("the probe to have failed", async () => {
      const found = await breaker("down");
      return found.next_probe > next_probe && found;
    });
    assert.equal(endpoint.requests.length, before + 1, "one probe, whoever waits");
    assert.ok(after.next_probe >= next_probe + 54_000);
    const all = await Promise.all([id, ...waiting.results.map((result) => result.id)].map((one) => api.deliveryOf("down", one)));
    for (const { status, reason, next_due } of all) {
      assert.deepEqual([status, reason, next_due], ["scheduled", "breaker_open", after.next_probe]);
    }
    const { text: metrics } = await api.call("GET", "/metrics");
    const told = (name) => Number(new RegExp(`^varde_${name}\\{workflow="down",action="tell"\\} (\\d+)$`, "m").exec(metrics)?.[1]);
    assert.equal(told("breaker_open"), 1);
    // The batch has been due since the clock was moved on.
    assert.ok(told("queue_age_seconds") >= 30, metrics);
    // Whose turn it was is told by the milliseconds: the first one's retry may be due after the batch.
    const attempts = all.reduce((sum, { attempt }) => sum + attempt - 1, 0);
    assert.equal(attempts, first.attempt - 1 + 1, "nobody else used up an attempt");

    // Longer than the window: what waited here still gets its attempt.
    down = false;
    await pass(4 * 3_600_000);
    const stats = await api.drained("down");
    assert.deepEqual([stats.delivered, stats.exhausted], [41, 0]);
    assert.equal(await breaker("down"), undefined);

    const heard = await until("all events", () => events.requests.length >= 2 && events.requests.map(({ text }) => JSON.parse(text)));
    assert.deepEqual(heard.map(({ type, workflow, action }) => [type, workflow, action]), [
      ["breaker.open", "down", "tell"],
      ["action.recovering", "down", "tell"],
    ]);
  });

  it("is told of, once, when it has failed for a day, and when a delivery is given up", async () => {
    const events = receiver.endpoint("/events-of-a-day");
    const [{ ...action }] = oneAction(events.url).actions;
    await api.workflow("operations", { name: "Tell us", object_type: "ticket", actions: [{ ...action, body: { kind: "json", template: "{{ event }}" } }] });
    const endpoint = receiver.endpoint("/a-day", 503);
    const retry = { first_ms: 6 * 3_600_000, factor: 1, max_ms: 6 * 3_600_000, max_age_ms: 2 * 86_400_000, jitter: 0 };
    await api.workflow("a-day", oneAction(endpoint.url, { retry }));
    const { id } = await api.enroll("a-day", contact());
    for (let n = 1; n <= 8; n++) {
      await endpoint.waitFor(n);
      await api.attempted("a-day", id, n);
      await pass(6 * 3_600_000 + 1_000);
    }
    await until("the delivery to be given up", async () => {
      await pass(6 * 3_600_000);
      return (await api.deliveryOf("a-day", id)).status === "exhausted";
    });
    const told = await until("both events", () => {
      const heard = eventsIn(events);
      return heard.length >= 2 && heard;
    });
    assert.deepEqual(told.map(({ type, reason }) => [type, reason]), [["action.failing", undefined], ["delivery.exhausted", "window_used_up"]]);
    const delivery = await api.deliveryOf("a-day", id);
    assert.deepEqual([told[1].delivery, told[1].record, told[1].workflow], [delivery.id, "51", "a-day"]);
  });

  it("is told of when it is gone; of `operations` itself nothing is told", async () => {
    const events = receiver.endpoint("/events-of-gone", 410);
    const [{ ...action }] = oneAction(events.url).actions;
    await api.workflow("operations", { name: "Tell us", object_type: "ticket", actions: [{ ...action, body: { kind: "json", template: "{{ event }}" } }] });
    const endpoint = receiver.endpoint("/is-gone", 410);
    await api.workflow("is-gone", oneAction(endpoint.url));
    await api.enroll("is-gone", contact());
    const [{ text }] = await events.waitFor(1);
    const { type, workflow, reason } = JSON.parse(text);
    assert.deepEqual([type, workflow, reason], ["action.paused", "is-gone", "gone"]);
    await api.actionState("operations", "tell", "paused");
    const open = await until("nothing more to be enrolled", async () => (await api.stats("operations")).open === 0 && "nothing");
    assert.equal(open, "nothing");
    assert.equal(events.requests.length, 1);
  });
});
