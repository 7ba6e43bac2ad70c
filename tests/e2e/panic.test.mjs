/** A bug that panics must not hang a caller, hurt its neighbours or stall the clock. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const panicsPrinted = () => runtime.output().match(/panicked at/g)?.length ?? 0;

/** A call that panics inside: answered with an error, by whom does not matter. */
async function panicking(path) {
  const before = performance.now();
  const answer = await fetch(runtime.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${runtime.adminToken}` },
    signal: AbortSignal.timeout(30_000),
  });
  await answer.arrayBuffer();
  return { status: answer.status, took_ms: performance.now() - before };
}

describe("a panic", () => {
  for (const [where, path] of [
    ["the edge", "/__testing/panic"],
    ["an outbox", "/__testing/panic-outbox?workflow=bystander"],
  ]) {
    it(`in ${where} is answered with an error within a second, and everybody else goes on`, async () => {
      const id = where === "the edge" ? "edge" : "outbox";
      const held = receiver.endpoint(`/${id}-held`, { fault: "hold" });
      const endpoint = receiver.endpoint(`/${id}-after`);
      await api.workflow("bystander", oneAction(held.url));
      const { id: enrollment } = await api.enroll("bystander", contact("in flight"));
      await held.waitForHeld(1);

      // The others: a delivery in flight in the same outbox, and calls before, with and after the panic.
      const others = [];
      const look = () => others.push(api.get("/v1/workflows/bystander"));
      const took_ms = [];
      for (let n = 0; n < 3; n++) {
        look();
        const panicked = panicking(path);
        look();
        const { status, took_ms: took } = await panicked;
        assert.ok(status >= 500, `status ${status}`);
        took_ms.push(took);
        look();
      }
      assert.ok((await Promise.all(others)).every((workflow) => workflow.id === "bystander"));
      // The quickest of three: a busy machine may slow one of them, a hanging caller would slow them all.
      assert.ok(Math.min(...took_ms) < 1_000, `answered after ${took_ms} ms`);

      held.release(200);
      await api.settled("bystander", enrollment, "delivered");
      await api.workflow("bystander", oneAction(endpoint.url));
      await api.enroll("bystander", contact("after"));
      await endpoint.waitFor(1);
      await api.drained("bystander");
      assert.equal(held.requests.length, 1, "what was in flight is not sent again");
    });
  }

  it("in an alarm does not stop the clock", async () => {
    const endpoint = receiver.endpoint("/alarm", { fault: "hold" }, 200);
    await api.workflow("clock", oneAction(endpoint.url, { retry: { ...quickly, first_ms: 500, max_ms: 500 } }));
    const { id } = await api.enroll("clock", contact());
    // While the first attempt is under way no alarm is near: the next one is the retry's.
    await endpoint.waitForHeld(1);
    const before = panicsPrinted();
    await api.done("POST", "/__testing/panic-alarm?workflow=clock");
    endpoint.release(503);

    const { attempts } = await api.settled("clock", id, "delivered");
    assert.equal(attempts.length, 2);
    await until("the alarm's panic to be printed", () => panicsPrinted() > before);
    await api.drained("clock");
  });
});
