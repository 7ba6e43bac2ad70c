/** What has settled is forgotten after `retention_days`; what was counted stays counted. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const DAY_MS = 86_400_000;
const inputs = (count) => Array.from({ length: count }, (_, n) => ({ record: contact(`${n}`) }));
const clock = (aheadMs) => fetch(`${runtime.url}/__testing/clock?ahead_ms=${aheadMs}`);
const sweep = () => fetch(`${runtime.url}/__testing/sweep`);

/** Waits until a list is empty; the alarm would ring in days, the sweep looks now. */
const forgotten = (path) =>
  until(`${path} to be empty`, async () => {
    await sweep();
    return (await api.all(path)).length === 0;
  });

describe("retention", () => {
  it("keeps what is young, what is open, and the counts", async () => {
    const ends = receiver.endpoint("/ends", (_, index) => (index < 5 ? 503 : 200));
    const stays = receiver.endpoint("/stays", 503);
    const slow = { first_ms: 28_800_000, factor: 1, max_ms: 28_800_000, max_age_ms: 604_800_000, jitter: 0 };
    await api.workflow("old", oneAction(ends.url, {}, { retention_days: 3, shards: 2 }));
    await api.workflow("open", oneAction(stays.url, { retry: slow }, { retention_days: 3 }));
    for (let n = 0; n < 3; n++) await api.enrollBatch("old", inputs(100));
    await api.enroll("open", contact());
    await stays.waitFor(1);
    const before = await api.drained("old");
    assert.equal(before.delivered, 300);
    const [some] = await api.deliveries("old");

    await clock(2.9 * DAY_MS);
    await sweep();
    assert.equal((await api.deliveries("old", { limit: 100 })).length, 300, "too young");

    await clock(3.1 * DAY_MS);
    const young = await api.enroll("old", contact("young"));
    await api.ended("old", young.id);
    await until("300 to be forgotten", async () => {
      await sweep();
      return (await api.deliveries("old")).length === 1;
    });
    assert.deepEqual((await api.all("/v1/workflows/old/enrollments")).map(({ id }) => id), [young.id]);
    await api.refused(404, "GET", `/v1/workflows/old/deliveries/${some.id}`);
    await api.refused(404, "GET", `/v1/workflows/old/enrollments/${some.enrollment}`);
    const after = await api.stats("old");
    assert.deepEqual([after.accepted, after.delivered, after.open], [301, 301, 0]);
    assert.deepEqual(after.attempts, { ...before.attempts, delivered: before.attempts.delivered + 1 });
    assert.equal((await api.stats("open")).open, 1);
    assert.equal((await api.all("/v1/workflows/open/enrollments")).length, 1, "it is still being tried");
  });

  it("does it by the alarm, without anybody's help", async () => {
    const endpoint = receiver.endpoint("/alarm");
    await clock(0);
    await api.workflow("alarm", oneAction(endpoint.url, { timeout_ms: 1_000 }, { retention_days: 1 }));
    await api.enrollBatch("alarm", inputs(20));
    await api.drained("alarm");
    // The alarm that stood at the leases' ends finds the clock a day ahead.
    await clock(1.5 * DAY_MS);
    await until("all to be forgotten", async () => (await api.deliveries("alarm")).length === 0);
    assert.equal((await api.stats("alarm")).delivered, 20);
  });

  it("leaves a bulk replay as it ended", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/replayed", () => (down ? 404 : 200));
    await clock(0);
    await api.workflow("replayed", oneAction(endpoint.url, {}, { retention_days: 1, shards: 2 }));
    await api.enrollBatch("replayed", inputs(20));
    await api.drained("replayed");
    down = false;
    const { id } = await api.expect(202, "POST", "/v1/workflows/replayed/replays", { status: "rejected" });
    const path = `/v1/workflows/replayed/replays/${id}`;
    const done = await until("the replay to be done", async () => {
      const found = await api.get(path);
      return found.status === "done" && found.open === 0 && found;
    });
    assert.equal(done.delivered, 20);
    await clock(3.1 * DAY_MS);
    await forgotten("/v1/workflows/replayed/enrollments");
    assert.deepEqual(await api.get(path), done);
    await clock(0);
  });

  it("is over a kill -9 what it was", async () => {
    const endpoint = receiver.endpoint("/killed");
    await clock(0);
    await api.workflow("killed", oneAction(endpoint.url, { retry: quickly }, { retention_days: 1 }));
    await api.enrollBatch("killed", inputs(100));
    await api.enrollBatch("killed", inputs(100));
    await api.drained("killed");
    await runtime.kill9();
    await runtime.restart();
    assert.equal((await api.deliveries("killed", { limit: 100 })).length, 200);
    await clock(1.5 * DAY_MS);
    await forgotten("/v1/workflows/killed/deliveries");
    assert.equal((await api.stats("killed")).delivered, 200);
  });
});
