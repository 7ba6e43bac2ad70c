/**
 * What a delivery costs in calls, rows and reads, because the platform bills and slows by them. Counted by
 * the testing flavour of the Worker, not timed.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

const counters = () => api.get("/__testing/counters");

/** What happened to the counters while something was done. */
async function counted(action) {
  const before = await counters();
  await action();
  const after = await counters();
  return Object.fromEntries(Object.keys(before).map((name) => [name, after[name] - before[name]]));
}

describe("the happy path", () => {
  const MANY = 20;

  it("takes two object calls and five written rows for a delivery, looks-up of the test apart", async (t) => {
    const endpoint = receiver.endpoint("/happy");
    await api.workflow("happy", oneAction(endpoint.url));
    // The first delivery also fills the directory's cache and registers the outbox.
    await api.enroll("happy", contact("warm"));
    await api.drained("happy");

    const nothing = await counted(() => {});
    assert.deepEqual(nothing, { ...nothing, object_calls: 0, rows_written: 0 }, "counting costs nothing");
    const look = await counted(() => api.stats("happy"));
    assert.equal(look.rows_written, 0);
    assert.ok(look.object_calls > 0, "the counters count");

    let looks = 0;
    const cost = await counted(async () => {
      for (let n = 0; n < MANY; n++) await api.enroll("happy", contact(`${n}`));
      await endpoint.waitFor(MANY + 1);
      for (;;) {
        looks += 1;
        if ((await api.stats("happy")).open === 0) break;
      }
    });
    const calls = cost.object_calls - looks * look.object_calls;
    t.diagnostic(`${calls / MANY} object calls and ${cost.rows_written / MANY} rows for a delivery`);
    assert.ok(calls <= 2 * MANY, `${calls} object calls for ${MANY} deliveries`);
    assert.ok(cost.rows_written <= 5 * MANY, `${cost.rows_written} rows for ${MANY} deliveries`);
    assert.ok(calls >= MANY && cost.rows_written >= MANY, `${calls} calls and ${cost.rows_written} rows are too few to be true`);
    assert.equal((await api.stats("happy")).delivered, MANY + 1);
  });
});

describe("taking what is due", () => {
  const FEW = 100;
  const MANY = 10_000;
  const MOST_LEASES = 64;
  const RELEASED = 10;

  /**
   * The rows that a take reads, by how many due deliveries it found, while some leave a backlog one by one.
   *
   * @returns {Promise<Map<number, number>>}
   */
  async function readsWithBacklog(id, open) {
    const endpoint = receiver.endpoint(`/${id}`, { fault: "hold" });
    await api.workflow(id, oneAction(endpoint.url, { timeout_ms: 28_000 }));
    // Paused, so that the backlog is whole before the first of it is due.
    const controls = `/v1/workflows/${id}/actions/tell`;
    await api.done("POST", `${controls}/pause`);
    for (let from = 0; from < open; from += 100) {
      await api.enrollBatch(id, Array.from({ length: 100 }, (_, n) => ({ record: contact(`${from + n}`, {}) })));
    }
    assert.equal((await api.stats(id)).open, open);
    await api.done("POST", `${controls}/resume`);
    await endpoint.waitForHeld(MOST_LEASES);

    const reads = new Map();
    for (let n = 1; n <= RELEASED; n++) {
      endpoint.release(200, 1);
      await endpoint.waitFor(MOST_LEASES + n);
      const { taken, rows_read_by_take: rows } = await counters();
      reads.set(taken, Math.max(rows, reads.get(taken) ?? 0));
    }
    await api.done("POST", `${controls}/pause`);
    assert.ok((await api.stats(id)).open >= open - RELEASED - 1, "the backlog was there all the time");
    endpoint.release(200);
    return reads;
  }

  it(`reads as little with ${MANY} open deliveries as with ${FEW}`, async (t) => {
    const few = await readsWithBacklog("few", FEW);
    const many = await readsWithBacklog("many", MANY);
    t.diagnostic(`rows read by the number found: ${FEW} open ${JSON.stringify([...few])}, ${MANY} open ${JSON.stringify([...many])}`);
    const both = [...few.keys()].filter((taken) => taken > 0 && many.has(taken));
    assert.ok(both.length > 0, "takes that found as many are there in both");
    for (const taken of both) assert.equal(many.get(taken), few.get(taken), `rows read by a take that found ${taken}`);
  });
});
