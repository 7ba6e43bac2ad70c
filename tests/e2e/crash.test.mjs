/**
 * The promise itself: what was answered with 202 is sent, whatever happens to the runtime. Here it is
 * killed with SIGKILL in the middle of its work and started again on the same state.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { assertBooksBalance } from "./support/api.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

/** Long enough to be still waited for when the kill comes; a lease ends five seconds after it. */
const HELD_TIMEOUT_MS = 10_000;

/** At most this many leases of an action and shard are open at a time. */
const MOST_LEASES = 64;

const BURST = 300;

const idOf = ({ headers }) => headers["webhook-id"];

/**
 * How many deliveries an endpoint got, and how often one of them again without having asked for it: after a
 * 503 the same webhook is no duplicate.
 */
function received({ requests }) {
  const deliveries = new Set(requests.map(idOf)).size;
  const unasked = requests.filter(({ answered }) => answered !== 503).length;
  return { deliveries, duplicates: unasked - deliveries };
}

const inputs = (from, count) => Array.from({ length: count }, (_, n) => ({ record: contact(`${from + n}`) }));

describe("a kill -9", () => {
  it("while 200 deliveries are open loses none of them, and doubles at most what was in flight", async (t) => {
    // What has ended before the kill is not to be sent again.
    const done = receiver.endpoint("/done");
    await api.workflow("done", oneAction(done.url));
    await api.enrollBatch("done", inputs(0, 20));
    await api.drained("done");

    // 120 wait for a retry: their endpoint is down until after the kill.
    let down = true;
    const flaky = receiver.endpoint("/flaky", () => (down ? 503 : 200));
    const retry = { first_ms: 3_000, factor: 1, max_ms: 3_000, jitter: 0 };
    await api.workflow("flaky", oneAction(flaky.url, { retry }));
    await Promise.all([api.enrollBatch("flaky", inputs(0, 60)), api.enrollBatch("flaky", inputs(60, 60))]);
    await until("each of the 120 to have failed once", () => new Set(flaky.requests.map(idOf)).size === 120);

    // 80 have an endpoint that says nothing: as many as may be are in flight, the others wait for their turn.
    const slow = receiver.endpoint("/slow", () => (down ? { fault: "hold" } : 200));
    await api.workflow("slow", oneAction(slow.url, { timeout_ms: HELD_TIMEOUT_MS, retry }));
    await Promise.all(inputs(0, 40).map(({ record }) => api.enroll("slow", record)));
    await api.enrollBatch("slow", inputs(40, 40));
    await slow.waitForHeld(40);

    const open = await Promise.all(["flaky", "slow"].map((id) => api.stats(id)));
    open.forEach(assertBooksBalance);
    assert.deepEqual(open.map((stats) => stats.open), [120, 80], "200 are open");
    const inFlight = slow.held.length;
    await runtime.kill9();
    t.diagnostic(`killed with ${inFlight} requests in flight`);
    assert.ok(inFlight >= 40 && inFlight <= MOST_LEASES, `${inFlight} in flight`);

    down = false;
    await runtime.restart();
    t.diagnostic(`restarted in ${runtime.startMs} ms`);
    // Nobody calls the workflows now: their alarms alone bring them to an end.
    for (const [id, endpoint, accepted] of [
      ["done", done, 20],
      ["flaky", flaky, 120],
      ["slow", slow, 80],
    ]) {
      const stats = await api.drained(id);
      assert.deepEqual([stats.accepted, stats.delivered], [accepted, accepted], id);
      assert.equal(received(endpoint).deliveries, accepted, id);
    }
    const duplicates = { done: received(done).duplicates, flaky: received(flaky).duplicates, slow: received(slow).duplicates };
    t.diagnostic(`duplicates: ${JSON.stringify(duplicates)}`);
    assert.equal(duplicates.done, 0, "what had ended is not sent again");
    assert.ok(duplicates.flaky + duplicates.slow <= inFlight, `${inFlight} were in flight`);
  });

  it("in the middle of a burst keeps every accepted enrollment, and repeated calls enroll once", async (t) => {
    const endpoint = receiver.endpoint("/burst", 200);
    await api.workflow("burst", oneAction(endpoint.url));
    const accepted = new Map();
    const kill = Promise.withResolvers();
    const post = async (n) => {
      const { id } = await api.enroll("burst", contact(`${n}`), { key: `order-${n}` });
      accepted.set(n, id);
      if (accepted.size === BURST / 5) kill.resolve();
    };
    // What a call meets when the runtime dies under it is not what this is about.
    const calls = Array.from({ length: BURST }, (_, n) => post(n).catch(() => {}));
    await kill.promise;
    await runtime.kill9();
    await Promise.all(calls);
    const kept = new Map(accepted);
    t.diagnostic(`killed after ${kept.size} of ${BURST} were accepted and ${endpoint.requests.length} sent`);
    assert.ok(kept.size < BURST, "the kill comes in the middle");

    await runtime.restart();
    for (const [n, id] of kept) {
      const found = await api.enrollment("burst", id);
      assert.equal(found.record.id, `${n}`);
    }
    // The caller who got no answer asks again, as it would in life; who got one gets the same.
    for (let n = 0; n < BURST; n++) await post(n);
    for (const [n, id] of kept) assert.equal(accepted.get(n), id, `call ${n} got the same answer`);
    const stats = await api.drained("burst");
    assert.deepEqual([stats.accepted, stats.delivered], [BURST, BURST]);
    const { deliveries, duplicates } = received(endpoint);
    assert.equal(deliveries, BURST);
    assert.ok(duplicates <= MOST_LEASES, `${duplicates} duplicates`);
  });
});
