/** The registry is out of reach. Who knows a workflow goes on; who doesn't says so, and when to come again. */

import assert from "node:assert/strict";
import { it } from "node:test";

import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

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
