/** HubSpot's workflows made into drafts, and the drafts put to work. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";

import { pointers } from "./support/api.mjs";
import { stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

const fixture = async (name) =>
  JSON.parse(await readFile(new URL(`../fixtures/hubspot/${name}.json`, import.meta.url), "utf8"));

const imported = (body) => api.expect(200, "POST", "/v1/import/hubspot", body);

describe("an import from HubSpot", { concurrency: true }, () => {
  it("gives drafts that can be put once their secrets exist", async () => {
    for (const name of ["ship-closed-deals", "branches"]) {
      const { workflows, secrets } = await imported(await fixture(name));
      assert.ok(workflows.length > 0 && secrets.length > 0, name);
      await api.refused(404, "GET", `/v1/workflows/${workflows[0].id}`);
      const needing = workflows.find(({ actions }) => actions.some(({ auth }) => auth.secret));
      const refused = await api.refused(422, "PUT", `/v1/workflows/${needing.id}`, needing);
      assert.ok(pointers(refused).every((pointer) => pointer.endsWith("/auth/secret")), JSON.stringify(refused));
      for (const secret of secrets) await api.secret(secret.name, "shh");
      for (const draft of workflows) await api.expect(201, "PUT", `/v1/workflows/${draft.id}`, draft);
    }
  });

  it("takes one workflow, an array, or an answer of HubSpot's", async () => {
    const one = await fixture("ship-closed-deals");
    const [single, array, results] = await Promise.all([imported(one), imported([one]), imported({ results: [one], paging: {} })]);
    assert.deepEqual(array, single);
    assert.deepEqual(results, single);
  });

  it("sends what HubSpot would have sent", async () => {
    const orders = receiver.endpoint("/hubspot/orders", { status: 200, body: '{"order_id": 77}' });
    const chat = receiver.endpoint("/hubspot/chat");
    const flow = await fixture("ship-closed-deals");
    flow.name = "Sent for real";
    flow.actions[0].webhookUrl = orders.url;
    flow.actions[2].webhookUrl = chat.url;
    flow.actions[2].authSettings.secretName = "CHAT_TOKEN_FOR_REAL";
    const { workflows: [draft], secrets, not_carried_over } = await imported(flow);
    for (const { name } of secrets) await api.secret(name, name === "chat_token_for_real" ? "Bearer abc" : "app-secret");
    await api.expect(201, "PUT", `/v1/workflows/${draft.id}`, draft);
    const before = Date.now();
    await api.enroll(draft.id, { id: "9", properties: { dealname: "100 cairns" } }, { event: { hs_form_id: "f-1" } });
    const [order] = await orders.waitFor(1);
    const { sent_at, ...rest } = JSON.parse(order.text);
    assert.deepEqual(rest, { ref: "100 cairns", channel: "hubspot", form: "f-1" });
    assert.ok(Number.isInteger(sent_at) && sent_at >= before - 1000, String(sent_at));
    assert.ok(order.headers["x-hubspot-signature-v3"]);
    const [told] = await chat.waitFor(1);
    assert.equal(new URL(told.url).searchParams.get("order"), "77");
    assert.equal(told.headers.authorization, "Bearer abc");
    const fields = not_carried_over.find(({ action_id }) => action_id === "3");
    assert.match(fields.reason, /`state`.*`owner`/);
    await api.drained(draft.id);
  });

  it("lists what can't be called instead of failing later", async () => {
    const flow = await fixture("ship-closed-deals");
    flow.actions[0].webhookUrl = "https://10.0.0.1/orders";
    const { workflows: [draft], not_carried_over } = await imported(flow);
    assert.deepEqual(draft.actions.map(({ id }) => id), ["webhook-3"]);
    const about = Object.fromEntries(not_carried_over.map(({ action_id, reason }) => [action_id, reason]));
    assert.match(about[1], /not give an IP address/);
    assert.match(about[3], /action `1` isn't an earlier webhook/);
  });

  it("says what is no export", async () => {
    const refused = (body) => api.refused(422, "POST", "/v1/import/hubspot", body);
    assert.deepEqual(pointers(await refused({ id: "1", name: "from the list" })), ["/actions"]);
    assert.deepEqual(pointers(await refused({ results: [5, { actions: 5 }] })), ["/results/0", "/results/1/actions"]);
    await api.refused(400, "POST", "/v1/import/hubspot", undefined, { raw: "{", headers: { "content-type": "application/json" } });
    await api.refused(415, "POST", "/v1/import/hubspot", undefined, { raw: "{}" });
    await api.as(null).refused(401, "POST", "/v1/import/hubspot", {});
    const { token } = await api.expect(201, "POST", "/v1/tokens", { scopes: ["read", "enroll"] });
    await api.as(token).refused(403, "POST", "/v1/import/hubspot", {});
  });
});
