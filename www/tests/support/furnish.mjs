/** Something on every page of the dashboard, made by the API. */

import { oneAction } from "../../../tests/e2e/support/stage.mjs";

/**
 * Fills a Worker, and tells its pages.
 *
 * @param {import("../../../tests/e2e/support/api.mjs").Api} api
 * @param {string} origin of the Worker, for bins
 * @returns {Promise<{ name: string, hash: string, ready: string | RegExp }[]>} each with a text that shows when it is there
 */
export async function furnish(api, origin) {
  await api.secret("shop-key", "a-secret-text");
  await api.done("PUT", "/v1/secrets/signing", { generate: "standard_webhooks" });
  await api.done("POST", "/v1/tokens", { name: "Shop", scopes: ["enroll"] });
  const bin = async (reply) => {
    const { id } = await api.done("POST", "/v1/inspect");
    await api.done("PUT", `/v1/inspect/${id}/reply`, { headers: { "content-type": "application/json" }, body: '{"order": {"id": "A-100", "total": 12.5}}', ...reply });
    return { id, url: `${origin}/inspect/${id}/orders` };
  };
  const good = await bin({ fail_first: 2 });
  const failing = await bin({ status: 503 });
  const refusing = await bin({ status: 404 });
  await api.workflow("ship", {
    name: "Ship closed deals",
    object_type: "deal",
    actions: [
      {
        ...oneAction(good.url).actions[0],
        id: "create-order",
        retry: { first_ms: 400 },
        auth: { type: "standard_webhooks", secret: "signing" },
        headers: [{ name: "X-Deal", value: { record: "id" } }],
        body: {
          kind: "properties",
          fields: [
            { name: "Deal", value: { property: "dealname" } },
            { name: "Amount", value: { property: "amount" } },
            { name: "Source", value: { static: "crm" } },
          ],
        },
        outputs: [{ name: "order_id", pointer: "/order/id", type: "string" }],
      },
      {
        ...oneAction(failing.url).actions[0],
        id: "tell-chat",
        auth: { type: "api_key", location: "header", name: "Authorization", secret: "shop-key" },
        body: { kind: "json", template: { text: "Order {{ outputs['create-order'].order_id }}", deal: { id: "{{ record.id }}" } } },
        retry: { first_ms: 600_000 },
        rate_limit: { requests: 20, per_ms: 1_000 },
      },
    ],
  });
  await api.workflow("refused", oneAction(refusing.url, {}, { name: "Refused by the other side" }));
  const { id: enrollment } = await api.enroll("ship", { id: "503", properties: { dealname: "Two towers", amount: 80 } });
  const delivered = await api.settled("ship", enrollment, "delivered", "create-order");
  const waiting = await api.attempted("ship", enrollment, 1, "tell-chat");
  for (const [id, dealname] of [["501", "100 cairns"], ["502", "A lighthouse"]]) {
    await api.enroll("ship", { id, properties: { dealname, amount: 1250 } }, { event: { source: "shop" } });
  }
  const { id: lost } = await api.enroll("refused", { id: "9", properties: {} });
  await api.ended("refused", lost);
  await api.done("POST", "/v1/workflows/refused/replays", { status: "rejected" });

  const trigger = await api.done("POST", "/v1/workflows/ship/triggers", { name: "Shop orders" });
  const event = { customer: { email: "ada@example.com" }, deal: { name: "100 cairns", amount: 1250 }, paid: true };
  await fetch(trigger.url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(event) });

  return [
    { name: "the workflows", hash: "#/workflows", ready: "Ship closed deals" },
    { name: "a new workflow", hash: "#/workflows/+new", ready: "Preview" },
    { name: "a workflow's deliveries", hash: "#/workflows/ship", ready: "delivered" },
    { name: "a workflow's actions", hash: "#/workflows/ship/edit", ready: "A lighthouse" },
    { name: "enrolling", hash: "#/workflows/ship/enroll", ready: "Copy as curl" },
    { name: "the bulk replays", hash: "#/workflows/refused/replays", ready: "Sent again" },
    { name: "a delivery that arrived", hash: `#/workflows/ship/deliveries/${delivered.id}`, ready: "Attempt 3: 200" },
    { name: "a delivery that waits", hash: `#/workflows/ship/deliveries/${waiting.id}`, ready: "1 made, 13 planned if it keeps failing" },
    { name: "an enrollment", hash: `#/workflows/ship/enrollments/${enrollment}`, ready: "Two towers" },
    { name: "the inbound triggers", hash: "#/workflows/ship/triggers", ready: "Shop orders" },
    { name: "an inbound trigger", hash: `#/workflows/ship/triggers/${trigger.id}`, ready: "Add a field that was seen" },
    { name: "the secrets", hash: "#/secrets", ready: "shop-key" },
    { name: "the tokens", hash: "#/tokens", ready: "Shop" },
    { name: "the inspector", hash: "#/inspector", ready: "Make a bin" },
    { name: "a request bin", hash: `#/inspector/${good.id}`, ready: "Secret, to check the signature" },
    { name: "the import", hash: "#/import", ready: "The workflow's JSON" },
    { name: "nothing", hash: "#/nothing", ready: "There is no such page" },
  ];
}
