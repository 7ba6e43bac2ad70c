/** What people get wrong: each a clear error with its place, and nothing lost or half done. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { pointers } from "./support/api.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

const DEEP = "[".repeat(1_000) + "]".repeat(1_000);

describe("bad input", { concurrency: true }, () => {
  it("of a workflow is refused as a whole: doubled ids, outputs used before they exist, broken templates", async () => {
    const { actions: [action], ...workflow } = oneAction("https://shop.example/");
    const body = (template) => ({ body: { kind: "json", template } });
    const actions = [
      { ...action, id: "one", ...body({ x: "{{ outputs.two.order }}" }) },
      { ...action, id: "two", outputs: [{ name: "order", pointer: "/order", type: "string" }] },
      { ...action, id: "two" },
      { ...action, id: "three", ...body({ y: "{{ outputs.two.nothing }}" }) },
      { ...action, id: "four", ...body({ z: "{% for x in %}" }) },
    ];
    const problem = await api.refused(422, "PUT", "/v1/workflows/wrong", { ...workflow, actions });
    assert.deepEqual(pointers(problem), [
      "/actions/0/body/template/x",
      "/actions/2/id",
      "/actions/3/body/template/y",
      "/actions/4/body/template/z",
    ]);
    await api.refused(404, "GET", "/v1/workflows/wrong");
  });

  it("nested a thousand levels deep is refused with its place, and enrolls nothing", async () => {
    await api.workflow("deep", oneAction(receiver.endpoint("/deep").url));
    const raw = `{"record": {"id": "1", "properties": {"x": ${DEEP}}}}`;
    const headers = { "content-type": "application/json" };
    const { body } = await api.call("POST", "/v1/workflows/deep/enrollments", { raw, headers });
    assert.deepEqual([body.status, body.code], [400, "json_too_deep"]);
    assert.match(body.detail, /line 1, column \d+/);
    assert.equal((await api.stats("deep")).accepted, 0);
  });

  it("in a template that loops without end ends in a reason, and the enrollment goes on", async () => {
    const after = receiver.endpoint("/after-the-loop");
    const { actions: [action], ...workflow } = oneAction(receiver.endpoint("/loop").url);
    const loop = "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}";
    const looping = { ...action, id: "loop", body: { kind: "text", content_type: "text/plain", template: loop } };
    await api.workflow("loop", { ...workflow, actions: [looping, { ...action, id: "after", url: after.url }] });
    const { id } = await api.enroll("loop", contact());
    const delivery = await api.settled("loop", id, "rejected", "loop");
    assert.match(delivery.reason, /^[a-z_]+$/);
    assert.deepEqual(delivery.attempts, []);
    await after.waitFor(1);
    assert.equal((await api.ended("loop", id)).status, "completed");
  });

  it("in a trigger's mapping is refused at its place, and the trigger stays as it was", async () => {
    await api.workflow("mapped", oneAction(receiver.endpoint("/mapped").url));
    const made = await api.expect(201, "POST", "/v1/workflows/mapped/triggers", { name: "Orders" });
    const path = `/v1/workflows/mapped/triggers/${made.id}`;
    const mapping = [
      { pointer: "/email", property: "", type: "string" },
      { pointer: "email", property: "mail", type: "string" },
      { pointer: "/n", property: "n", type: "integer" },
    ];
    const problem = await api.refused(422, "PUT", path, { name: "Orders", verify: { type: "none" }, mapping, match: "phone", state: "published" });
    const found = pointers(problem);
    for (const pointer of ["/mapping/0/property", "/mapping/1/pointer", "/mapping/2/type"]) {
      assert.ok(found.includes(pointer), `${pointer} in ${found}`);
    }
    assert.equal((await api.get(path)).state, "listening");
    const wrongMatch = await api.refused(422, "PUT", path, { name: "Orders", verify: { type: "none" }, mapping: [{ pointer: "/email", property: "email", type: "string" }], match: "phone", state: "published" });
    assert.deepEqual(pointers(wrongMatch), ["/match"]);
  });
});
