/**
 * The registry is out of reach: who knows a workflow goes on; who doesn't says so, and when to come again. Or
 * the outbox is, so that a sender can't tell how its attempt went.
 */

import assert from "node:assert/strict";
import { it } from "node:test";

import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const printed = (code) => runtime.output().split(`"code":"${code}"`).length - 1;

it("without the registry, a known workflow goes on and an unknown one is a 503 with Retry-After", async () => {
  const endpoint = receiver.endpoint("/warm");
  await api.workflow("warm", oneAction(endpoint.url));
  await api.workflow("cold", oneAction(endpoint.url));
  await api.enroll("warm", contact("1"));
  await api.drained("warm");

  await api.done("POST", "/__testing/registry/down");
  await api.enroll("warm", contact("2"));
  await endpoint.waitFor(2);
  // Nobody has enrolled into it here, so nothing of it is remembered.
  const cold = await api.call("POST", "/v1/workflows/cold/enrollments", { json: { record: contact("3") } });
  assert.equal(cold.status, 503, cold.text);
  assert.equal(cold.body.code, "registry_unreachable");
  assert.ok(Number(cold.headers.get("retry-after")) >= 1);

  await api.done("POST", "/__testing/registry/up");
  const stats = await api.drained("warm");
  assert.equal(stats.delivered, 2);
  assert.equal((await api.stats("cold")).accepted, 0);
});

it("without the registry, retries of a known workflow go on", async () => {
  const endpoint = receiver.endpoint("/retried", 503, 503, 200);
  await api.workflow("retried", oneAction(endpoint.url, { retry: quickly }));
  const { id } = await api.enroll("retried", contact());
  await api.done("POST", "/__testing/registry/down");
  const { attempts } = await api.settled("retried", id, "delivered");
  assert.equal(attempts.length, 3);
  await api.done("POST", "/__testing/registry/up");
});

it("a sender that can't tell tries until it can, and nothing is sent twice", async () => {
  const endpoint = receiver.endpoint("/untold", { fault: "hold" });
  await api.workflow("untold", oneAction(endpoint.url));
  const { id } = await api.enroll("untold", contact());
  await endpoint.waitForHeld(1);
  await api.done("POST", "/__testing/outbox/down");
  const before = printed("outbox_unreachable");
  endpoint.release(200);
  await until("the sender to have tried", () => printed("outbox_unreachable") >= before + 3);
  await api.done("POST", "/__testing/outbox/up");
  const { attempts } = await api.settled("untold", id, "delivered");
  assert.equal(attempts.length, 1);
  assert.equal(endpoint.requests.length, 1);
});

it("a sender that dies between its fetch and its settle costs one more attempt, at the end of its lease", async () => {
  const endpoint = receiver.endpoint("/died", { fault: "hold" }, 200);
  await api.workflow("died", oneAction(endpoint.url, { timeout_ms: 1_000 }));
  const { id } = await api.enroll("died", contact());
  await endpoint.waitForHeld(1);
  // It can't tell, and no more can whoever comes after it: the outbox finds out by itself.
  await api.done("POST", "/__testing/outbox/down");
  endpoint.release(200);
  await endpoint.waitFor(2);
  await api.done("POST", "/__testing/outbox/up");
  const { attempts } = await api.settled("died", id, "delivered");
  assert.deepEqual([attempts[0].outcome, attempts[0].verdict], ["lost", "retry"]);
  // The lease began when the attempt did, which is before its request was here.
  const gap_ms = endpoint.requests[1].at - attempts[0].started_at;
  assert.ok(gap_ms >= 6_000, `the lease of 1 + 5 s is waited for: ${gap_ms} ms`);
  const stats = await api.drained("died");
  assert.deepEqual([stats.accepted, stats.delivered], [1, 1]);
});
