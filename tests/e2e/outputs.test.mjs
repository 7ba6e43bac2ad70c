/** What an action picks from its response, and what later actions see of it when things go wrong. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, quickly, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

const order = (extra) => [{ name: "order", pointer: "/order", type: "string", ...extra }];
const saysOrder = { kind: "properties", fields: [{ name: "order", value: { output: "create.order" } }] };

/** A workflow of two actions, where the second says what the first has picked. */
function two(create, tell, workflow) {
  const action = (id, more) => ({ id, type: "webhook", method: "POST", retry: quickly, ...more });
  return {
    name: "Create and tell",
    object_type: "contact",
    actions: [action("create", { outputs: order(), ...create }), action("tell", { body: saysOrder, ...tell })],
    ...workflow,
  };
}

describe("outputs", { concurrency: true }, () => {
  for (const [what, id, create, reason] of [
    ["refuses the connection", "default-connect", { url: "https://127.0.0.1:1/", retry: { ...quickly, max_age_ms: 300 } }, "window_used_up"],
    ["is too slow", "default-timeout", { script: { fault: "hang" }, timeout_ms: 1_000, retry: { ...quickly, max_age_ms: 0 } }, "window_used_up"],
    ["can't be asked, for want of an output of its own", "default-unsent", { headers: [{ name: "X-Order", value: { output: "first.order" } }] }, "missing_output"],
  ]) {
    it(`have their defaults where the endpoint ${what}`, async () => {
      const { script = 200, ...action } = create;
      const first = receiver.endpoint(`/${id}-first`, { status: 200, body: "{}" });
      const endpoint = receiver.endpoint(`/${id}`, script);
      const told = receiver.endpoint(`/${id}-told`);
      const workflow = two({ url: endpoint.url, ...action, outputs: order({ default: "none" }) }, { url: told.url });
      workflow.actions.unshift({ id: "first", type: "webhook", method: "GET", url: first.url, outputs: order() });
      await api.workflow(id, workflow);
      const enrollment = await api.ended(id, (await api.enroll(id, contact())).id);
      const ends = enrollment.deliveries.map(({ action, status, reason }) => [action, status, reason]);
      assert.deepEqual(ends, [
        ["first", "delivered", undefined],
        ["create", reason === "missing_output" ? "rejected" : "exhausted", reason],
        ["tell", "delivered", undefined],
      ]);
      assert.deepEqual(JSON.parse(told.requests[0].text), { order: "none" });
    });
  }

  it("have their defaults in a test, too", async () => {
    const told = receiver.endpoint("/default-test");
    await api.workflow("default-test", two({ url: told.url, outputs: order({ default: "none" }) }, { url: told.url }));
    const test = (outputs) => api.done("POST", "/v1/workflows/default-test/actions/tell/test", { record: contact(), outputs });
    assert.equal((await test({})).request.body, '{"order":"none"}');
    assert.equal((await test({ create: { order: "A-7" } })).request.body, '{"order":"A-7"}');
  });

  it("of a response that is no JSON object are none, and the delivery says so", async () => {
    for (const [name, body, note] of [
      ["html", "<html>", /isn't JSON/],
      ["list", "[1]", /must be a JSON object/],
      ["object", '{"order":"A-7"}', undefined],
    ]) {
      const endpoint = receiver.endpoint(`/note-${name}`, { status: 200, body });
      await api.workflow(`note-${name}`, two({ url: endpoint.url }, { url: endpoint.url }));
      const { id } = await api.enroll(`note-${name}`, contact());
      await api.ended(`note-${name}`, id);
      const created = await api.deliveryOf(`note-${name}`, id, "create");
      assert.equal(created.status, "delivered");
      if (note) assert.match(created.outputs_note, note);
      else assert.equal(created.outputs_note, undefined);
      assert.equal((await api.deliveryOf(`note-${name}`, id, "tell")).outputs_note, undefined);
    }
  });

  it("of a replay that arrives take their place in what is rendered anew", async () => {
    const create = receiver.endpoint("/mended", 404, 500, { status: 200, body: '{"order":"A-7"}' });
    const told = receiver.endpoint("/mended-told");
    await api.workflow("mended", two({ url: create.url, retry: { ...quickly, max_age_ms: 0 } }, { url: told.url }));
    const { id } = await api.enroll("mended", contact());
    const before = await api.ended("mended", id);
    assert.deepEqual(before.deliveries.map(({ reason }) => reason), ["http_404", "missing_output"]);
    const [created, untold] = before.deliveries;
    const replay = async (delivery, json) => {
      const { id: again } = await api.expect(202, "POST", `/v1/workflows/mended/deliveries/${delivery.id}/replay`, json);
      await api.drained("mended");
      return (await api.delivery("mended", again)).status;
    };
    assert.equal(await replay(created), "exhausted");
    assert.equal(await replay(untold, { render: "current" }), "rejected", "a replay that fails changes nothing");
    assert.equal(await replay(created), "delivered");
    assert.deepEqual((await api.enrollment("mended", id)).outputs, { create: { order: "A-7" } });
    assert.equal(await replay(untold, { render: "current" }), "delivered");
    assert.deepEqual(told.requests.map(({ text }) => JSON.parse(text)), [{ order: "A-7" }]);
  });
});

describe("a workflow that is edited while an attempt is under way", { concurrency: true }, () => {
  it("goes on as it is now", async () => {
    const slow = receiver.endpoint("/edited", { fault: "hold" });
    const [old, added] = [receiver.endpoint("/edited-old"), receiver.endpoint("/edited-added")];
    const workflow = two({ url: slow.url, outputs: [] }, { url: old.url, body: { kind: "none" } });
    await api.workflow("edited", workflow);
    const { id } = await api.enroll("edited", contact());
    await slow.waitForHeld(1);
    await api.workflow("edited", { ...workflow, actions: [workflow.actions[0], { ...workflow.actions[1], id: "added", url: added.url }] });
    slow.release(200);
    const enrollment = await api.ended("edited", id);
    assert.deepEqual(enrollment.deliveries.map(({ action }) => action), ["create", "added"]);
    assert.deepEqual([old.requests.length, added.requests.length], [0, 1]);
  });

  it("ends with its reason where the action is gone", async () => {
    const slow = receiver.endpoint("/removed", { fault: "hold" });
    const workflow = two({ url: slow.url, outputs: [] }, { url: slow.url, body: { kind: "none" } });
    await api.workflow("removed", workflow);
    const { id } = await api.enroll("removed", contact());
    await slow.waitForHeld(1);
    await api.workflow("removed", { ...workflow, actions: [workflow.actions[1]] });
    slow.release(200);
    const { status, reason, deliveries } = await api.ended("removed", id);
    assert.deepEqual([status, reason, deliveries.length], ["failed", "workflow_changed", 1]);
  });
});
