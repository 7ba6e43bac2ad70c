/**
 * A statement fails in the middle of a call. Whatever was written before it in that call must not stay, or
 * a repetition would find half of it and take it for the whole.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { contact, quickly, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

/** More statements than an enrollment of two actions takes from its accept to its last settle. */
const STATEMENTS = 40;

/** Whether the fault has come; gives the last settle a moment. */
async function faultCame() {
  for (let look = 0; look < 20; look++) {
    if ((await api.get("/__testing/until-fault")) === 0) return true;
    await sleep(10);
  }
  return false;
}

describe("a statement that fails", () => {
  for (const how of ["error", "panic"]) it(`with ${how === "error" ? "an error" : "a panic"} loses nothing, wherever it stands between an accept and the last settle`, async (t) => {
    const faulty = `faulty-${how}`;
    const first = receiver.endpoint(`/first-${how}`, { status: 200, headers: { "content-type": "application/json" }, body: "{}" });
    const second = receiver.endpoint(`/second-${how}`);
    // A short timeout, so that a settle that failed is soon a lost lease and made again.
    const action = { type: "webhook", method: "POST", timeout_ms: 1_000, retry: quickly };
    await api.workflow(faulty, {
      name: "Two steps",
      object_type: "contact",
      actions: [
        { id: "first", url: first.url, ...action },
        { id: "second", url: second.url, ...action },
      ],
    });
    // Fills the directory's cache and registers the outbox: the faults are for what comes after.
    const ids = [(await api.enroll(faulty, contact("warm"))).id];
    await api.drained(faulty);

    let faults = 0;
    for (let n = 1; n <= STATEMENTS; n++) {
      await api.done("POST", `/__testing/fail-statement?n=${n}${how === "panic" ? "&panic" : ""}`);
      const { status, body } = await api.call("POST", `/v1/workflows/${faulty}/enrollments`, { json: { record: contact(`${n}`) } });
      assert.ok(status === 202 || status === 503, `${status}`);
      if (status === 202) ids.push(body.id);
      // A look at the outbox would run statements, too, so the endpoint is watched instead.
      await second.waitFor(ids.length);
      if (await faultCame()) faults += 1;
      await api.done("POST", "/__testing/fail-statement?n=0");
    }
    t.diagnostic(`${faults} faults met a call`);
    assert.ok(faults >= 8, `${faults} faults met a call`);

    const stats = await api.drained(faulty);
    const enrollments = await api.all(`/v1/workflows/${faulty}/enrollments`);
    for (const id of ids) {
      const enrollment = enrollments.find((one) => one.id === id);
      assert.ok(enrollment, `${id} is known`);
      assert.deepEqual([enrollment.status, enrollment.deliveries.map(({ action, status }) => [action, status])], [
        "completed",
        [["first", "delivered"], ["second", "delivered"]],
      ]);
    }
    assert.equal(stats.accepted, 2 * enrollments.length);
  });
});
