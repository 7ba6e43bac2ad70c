/**
 * The clock jumps: a machine wakes up, a time server corrects, an object moves to where it is later or earlier.
 * Nothing is lost, nothing is stranded, and what was settled stays settled.
 */

import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";

import { contact, oneAction, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver } = await stage();

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ahead = (ms) => api.done("POST", `/__testing/clock?ahead_ms=${ms}`);
const sweep = () => api.get("/__testing/sweep");
const every = (ms) => ({ first_ms: ms, factor: 1, max_ms: ms, jitter: 0 });

afterEach(() => ahead(0));

describe("a clock that jumps ahead", () => {
  it("makes what waits due, and no attempt is skipped or made twice", async () => {
    const endpoint = receiver.endpoint("/ahead", 503, 503, 200);
    await api.workflow("ahead", oneAction(endpoint.url, { retry: every(HOUR_MS) }));
    const { id } = await api.enroll("ahead", contact());
    for (const attempt of [1, 2]) {
      await api.attempted("ahead", id, attempt);
      await ahead(attempt * HOUR_MS + 60_000 * attempt);
      await sweep();
    }
    const { attempts } = await api.settled("ahead", id, "delivered");
    assert.deepEqual(attempts.map(({ number, status }) => [number, status]), [[1, 503], [2, 503], [3, 200]]);
    assert.equal(endpoint.requests.length, 3);
  });

  it("ends the leases that are out: they count as lost, and one that arrives late after all still counts", async () => {
    const endpoint = receiver.endpoint("/leased", { fault: "hold" });
    await api.workflow("leased", oneAction(endpoint.url, { retry: every(HOUR_MS) }));
    const { id } = await api.enroll("leased", contact());
    await endpoint.waitForHeld(1);
    await ahead(HOUR_MS / 2);
    await sweep();
    // The first loss is tried again at once.
    await endpoint.waitForHeld(2);
    endpoint.release(200, 1);
    const delivery = await api.settled("leased", id, "delivered");
    assert.equal(endpoint.requests.length, 2);
    assert.equal(delivery.attempts[0].outcome, "lost");
    // The other one's sender comes back to a delivery that has ended.
    endpoint.release(503);
    const stats = await api.drained("leased");
    assert.deepEqual([stats.accepted, stats.delivered], [1, 1]);
    assert.equal((await api.delivery("leased", delivery.id)).status, "delivered");
  });

  it("over the end of the window ends with that reason, and a replay sends it", async () => {
    const endpoint = receiver.endpoint("/beyond", 503, 200);
    await api.workflow("beyond", oneAction(endpoint.url, { retry: { ...every(HOUR_MS), max_age_ms: 3 * DAY_MS } }));
    const { id } = await api.enroll("beyond", contact());
    await api.attempted("beyond", id, 1);
    await ahead(4 * DAY_MS);
    await sweep();
    const delivery = await api.settled("beyond", id, "exhausted");
    assert.equal(delivery.reason, "window_used_up");
    assert.equal(endpoint.requests.length, 1);
    await api.expect(202, "POST", `/v1/workflows/beyond/deliveries/${delivery.id}/replay`, {});
    const stats = await api.drained("beyond");
    assert.deepEqual([stats.exhausted, stats.delivered], [1, 1]);
  });
});

describe("a clock that jumps back", () => {
  it("leaves what was settled settled, and what waits goes on when its time comes again", async () => {
    const JUMP_MS = 4_000;
    await ahead(JUMP_MS);
    const done = receiver.endpoint("/done");
    await api.workflow("done", oneAction(done.url));
    await api.enroll("done", contact());
    await api.drained("done");
    const endpoint = receiver.endpoint("/back", 503, 200);
    await api.workflow("back", oneAction(endpoint.url, { retry: every(1_000) }));
    const { id } = await api.enroll("back", contact());
    const [{ next_due: due }] = (await api.attempted("back", id, 1)).attempts;

    await ahead(0);
    await sweep();
    const delivery = await api.settled("back", id, "delivered");
    assert.equal(delivery.attempts.length, 2);
    // Never before the time that was promised to the endpoint.
    assert.ok(endpoint.requests[1].at >= due, `${endpoint.requests[1].at} is before ${due}`);
    assert.ok(delivery.attempts[1].started_at >= due);
    assert.equal(done.requests.length, 1);

    // Ids are made anew in a time that has been: they are others.
    const ids = [];
    for (let n = 0; n < 20; n++) ids.push((await api.enroll("done", contact(`${n}`))).id);
    assert.equal(new Set(ids).size, 20);
    const stats = await api.drained("done");
    assert.deepEqual([stats.accepted, stats.delivered], [21, 21]);
  });

  it("by a day while a lease is out takes its settle, and keeps the next one", async () => {
    await ahead(DAY_MS);
    const endpoint = receiver.endpoint("/day", { fault: "hold" });
    await api.workflow("day", oneAction(endpoint.url));
    const { id } = await api.enroll("day", contact());
    await endpoint.waitForHeld(1);
    await ahead(0);
    endpoint.release(200);
    await api.settled("day", id, "delivered");
    endpoint.replyWith(200);
    await api.enroll("day", contact("next"));
    const stats = await api.drained("day");
    assert.deepEqual([stats.accepted, stats.delivered], [2, 2]);
    await until("the books to say so", async () => (await api.stats("day")).open === 0);
  });

  it("keeps the order of a record, whose later deliveries stand behind", async () => {
    await ahead(HOUR_MS);
    const endpoint = receiver.endpoint("/order", { fault: "hold" });
    await api.workflow("order", oneAction(endpoint.url, {}, { ordering: "record" }));
    await api.enroll("order", contact("one", { n: 0 }));
    await endpoint.waitForHeld(1);
    await api.enroll("order", contact("one", { n: 1 }));
    await ahead(0);
    for (let n = 2; n < 5; n++) await api.enroll("order", contact("one", { n }));
    endpoint.replyWith(200);
    endpoint.release(200);
    // Those that were accepted ahead of time wait until the clock is there; that is an hour, unless it jumps again.
    await ahead(HOUR_MS);
    await sweep();
    const stats = await api.drained("order");
    assert.equal(stats.delivered, 5);
    const numbers = endpoint.requests.map(({ text }) => JSON.parse(text).properties.n.value);
    assert.deepEqual(numbers, [0, 1, 2, 3, 4]);
  });
});
