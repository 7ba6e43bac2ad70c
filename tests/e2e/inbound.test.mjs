/** Inbound triggers: connect, look, map, publish, enroll; who gets in, and what is said to who doesn't. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Signature } from "@hubspot/api-client";
import { Webhook } from "standardwebhooks";

import { assertProblem, pointers } from "./support/api.mjs";
import { oneAction, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

/** What a workflow sends of an order: each value once from the record and once from the event. */
const FIELDS = ["email", "total", "paid", "born", "placed", "status"];
const body = {
  kind: "properties",
  fields: [
    { name: "id", value: { record: "id" } },
    ...FIELDS.map((name) => ({ name: `p_${name}`, value: { property: name } })),
    ...FIELDS.map((name) => ({ name: `e_${name}`, value: { event: name } })),
  ],
};

const MAPPING = [
  { pointer: "/customer/email", property: "email", type: "string" },
  { pointer: "/total", property: "total", type: "number" },
  { pointer: "/paid", property: "paid", type: "boolean" },
  { pointer: "/customer/born", property: "born", type: "date", label: "Date of birth" },
  { pointer: "/placed_at", property: "placed", type: "datetime" },
  { pointer: "/status", property: "status", type: "enumeration" },
];

const order = (n, more = {}) => ({
  customer: { email: `ada${n}@example.com`, born: "1990-05-17" },
  total: 99.5 + n,
  paid: true,
  placed_at: "2026-01-02T03:04:05+01:00",
  status: ["open", "vip"],
  ...more,
});

/** What the API says in one answer to a POST without a token. */
async function post(url, value, headers = {}) {
  const raw = typeof value === "string" ? value : JSON.stringify(value);
  const response = await fetch(url, {
    method: "POST",
    body: raw,
    headers: { "content-type": "application/json", ...headers },
  });
  const text = await response.text();
  const answer = { status: response.status, headers: response.headers, body: JSON.parse(text), text };
  if (answer.status >= 400) assertProblem(answer, `POST ${url}`);
  return answer;
}

const pathOf = (trigger) => `/v1/workflows/${trigger.workflow}/triggers/${trigger.id}`;
const eventsOf = (trigger) => api.get(`${pathOf(trigger)}/events`);

/** A trigger in a new workflow, with the endpoint that the workflow calls. */
async function connect(id, verify, name = "Orders") {
  const endpoint = receiver.endpoint(`/${id}`);
  await api.workflow(id, oneAction(endpoint.url, { body }));
  const trigger = await api.expect(201, "POST", `/v1/workflows/${id}/triggers`, { name, ...(verify && { verify }) });
  return { endpoint, trigger };
}

/** Maps and publishes. */
function publish(trigger, more = {}) {
  return api.expect(200, "PUT", pathOf(trigger), {
    name: trigger.name,
    verify: trigger.verify,
    mapping: MAPPING,
    match: "email",
    state: "published",
    ...more,
  });
}

/** A published trigger. */
async function published(id, verify) {
  const { endpoint, trigger } = await connect(id, verify);
  return { endpoint, trigger: await publish(trigger) };
}

/** The newest event with a reason, as soon as it is kept. */
const refusal = (trigger, reason) =>
  until(`an event with the reason ${reason}`, async () => {
    const { items } = await eventsOf(trigger);
    return items.find((event) => event.reason === reason);
  });

/** Sends something wrong; looks at the answer and at what is kept of it. */
async function refused(trigger, status, reason, value, headers, url = trigger.url) {
  const answer = await post(url, value, headers);
  assert.equal(answer.status, status, answer.text);
  const kept = await refusal(trigger, reason);
  assert.equal(kept.status, status);
  assert.ok(kept.detail.length > 0 && kept.at <= Date.now() && /^evt_\d+$/.test(kept.id), JSON.stringify(kept));
  return { answer: answer.body, kept };
}

describe("a trigger", { concurrency: true }, () => {
  it("is connected, mapped, published, and enrolls what comes", async () => {
    const { endpoint, trigger } = await connect("whole");
    assert.match(trigger.id, /^[0-9a-f]{32}$/);
    assert.equal(trigger.url, `${runtime.url}/t/${trigger.id}`);
    assert.deepEqual(
      [trigger.workflow, trigger.name, trigger.state, trigger.verify, trigger.mapping, trigger.match],
      ["whole", "Orders", "listening", { type: "none" }, [], null],
    );
    assert.deepEqual(await eventsOf(trigger), { items: [], schema: [] });

    // Connect: the URL listens, and enrolls nothing.
    for (const n of [1, 2, 3]) {
      const answer = await post(trigger.url, order(n, { note: n === 3 ? null : "hi" }), { "x-shop": "north" });
      assert.equal(answer.status, 202, answer.text);
      assert.equal(answer.body.id, `evt_${n}`);
    }
    const { items, schema } = await eventsOf(trigger);
    assert.deepEqual(items.map(({ id, status, reason }) => [id, status, reason]), [
      ["evt_3", 202, undefined],
      ["evt_2", 202, undefined],
      ["evt_1", 202, undefined],
    ]);
    assert.deepEqual(JSON.parse(items[2].body), order(1, { note: "hi" }));
    assert.equal(items[0].headers["x-shop"], "north");
    assert.ok(items[0].at > 1.7e12 && items[0].at <= Date.now());

    // Look.
    assert.deepEqual(schema, [
      { pointer: "/customer/email", type: "string", sample: "ada3@example.com" },
      { pointer: "/customer/born", type: "date", sample: "1990-05-17" },
      { pointer: "/total", type: "number", sample: 102.5 },
      { pointer: "/paid", type: "boolean", sample: true },
      { pointer: "/placed_at", type: "datetime", sample: "2026-01-02T03:04:05+01:00" },
      { pointer: "/status", type: "enumeration", sample: ["open", "vip"] },
      { pointer: "/note", type: "string", sample: "hi" },
    ]);
    assert.equal((await api.stats("whole")).accepted, 0);

    // Map, match, publish.
    const shown = await publish(trigger);
    assert.deepEqual([shown.state, shown.mapping, shown.match, shown.url], ["published", MAPPING, "email", trigger.url]);
    assert.deepEqual(await api.get(pathOf(trigger)), shown);
    assert.deepEqual(await api.all("/v1/workflows/whole/triggers"), [shown]);

    // Enroll. Of what enrolls, an event is kept only if none was within the last second.
    await sleep(1_010);
    const answer = await post(trigger.url, order(4, { paid: "false", total: "12" }));
    assert.equal(answer.status, 202, answer.text);
    assert.deepEqual(Object.keys(answer.body), ["id"]);
    const [arrival] = await endpoint.waitFor(1);
    const born = Date.UTC(1990, 4, 17);
    const placed = Date.UTC(2026, 0, 2, 2, 4, 5);
    const values = { email: "ada4@example.com", total: 12, paid: false, born, placed, status: "open;vip" };
    assert.deepEqual(JSON.parse(arrival.text), {
      id: "ada4@example.com",
      ...Object.fromEntries(FIELDS.map((name) => [`p_${name}`, values[name]])),
      ...Object.fromEntries(FIELDS.map((name) => [`e_${name}`, values[name]])),
    });
    const enrollment = await api.enrollment("whole", answer.body.id);
    assert.deepEqual([enrollment.record.id, enrollment.record.properties, enrollment.event], ["ada4@example.com", values, values]);
    const kept = await until("the event to be kept", async () => {
      const found = (await eventsOf(trigger)).items;
      return found[0].enrollments && found[0];
    });
    assert.deepEqual([kept.status, kept.enrollments], [202, [answer.body.id]]);
    assert.equal((await api.drained("whole")).delivered, 1);
  });

  it("leaves out what isn't there, and what a body then says is empty", async () => {
    const { endpoint, trigger } = await published("sparse");
    const { body: answer } = await post(trigger.url, { customer: { email: "ada@example.com", born: "" }, total: null });
    const [arrival] = await endpoint.waitFor(1);
    assert.equal(JSON.parse(arrival.text).p_total, "");
    const { record } = await api.enrollment("sparse", answer.id);
    assert.deepEqual(record.properties, { email: "ada@example.com" });
  });

  it("takes a list as that many events, as HubSpot sends them", async () => {
    const { endpoint, trigger } = await published("list");
    const headers = { "webhook-id": "batch-1" };
    const { status, body: answer } = await post(trigger.url, [order(1), order(2), order(3)], headers);
    assert.equal(status, 202);
    assert.equal(answer.ids.length, 3);
    assert.equal(answer.id, answer.ids[0]);
    const arrivals = await endpoint.waitFor(3);
    const ids = arrivals.map(({ text }) => JSON.parse(text).id).sort();
    assert.deepEqual(ids, ["ada1@example.com", "ada2@example.com", "ada3@example.com"]);
    const again = await post(trigger.url, [order(1), order(2), order(3)], headers);
    assert.deepEqual(again.body.ids, answer.ids);
    const { answer: problem } = await refused(trigger, 422, "no_match_value", [order(1), {}]);
    assert.deepEqual(pointers(problem), ["/1/customer/email"]);
    assert.equal((await api.drained("list")).accepted, 3);
  });

  it("enrolls once for each webhook-id", async () => {
    const { endpoint, trigger } = await published("once-in");
    const first = await post(trigger.url, order(1), { "webhook-id": "msg_1" });
    assert.deepEqual((await post(trigger.url, order(1), { "webhook-id": "msg_1" })).body, first.body);
    const second = await post(trigger.url, order(1), { "webhook-id": "msg_2" });
    assert.notEqual(second.body.id, first.body.id);
    const third = await post(trigger.url, order(1));
    assert.notEqual(third.body.id, second.body.id);
    await refused(trigger, 409, "idempotency_key_reused", order(1, { total: 5 }), { "webhook-id": "msg_1" });
    assert.equal((await api.drained("once-in")).accepted, 3);
    assert.equal(endpoint.requests.length, 3);
  });

  it("survives a kill -9 with its events and its mapping", { timeout: 170_000 }, async () => {
    // In a runtime of its own, because the other tests go on.
    const { Runtime } = await import("./support/runtime.mjs");
    const { Api } = await import("./support/api.mjs");
    const own = await Runtime.start();
    try {
      const there = new Api(own);
      await there.workflow("kept", oneAction("https://shop.example/orders"));
      const made = await there.expect(201, "POST", "/v1/workflows/kept/triggers", { name: "Orders" });
      await post(made.url, order(1));
      const path = `/v1/workflows/kept/triggers/${made.id}`;
      const change = { name: "Orders", mapping: MAPPING, match: "email", state: "published" };
      await there.expect(200, "PUT", path, change);
      const before = await there.get(path);
      await own.kill9();
      await own.restart();
      // Its URL is absolute, so it follows the port.
      assert.deepEqual(await there.get(path), { ...before, url: `${own.url}/t/${made.id}` });
      assert.deepEqual((await there.get(`${path}/events`)).items.map(({ id }) => id), ["evt_1"]);
      const answer = await post(`${own.url}/t/${made.id}`, order(2));
      assert.match(answer.body.id, /^enr_/);
    } finally {
      await own.stop();
    }
  });
});

describe("a configuration", { concurrency: true }, () => {
  it("is refused with all its mistakes", async () => {
    const { trigger } = await connect("mistakes");
    const put = (change) => api.refused(422, "PUT", pathOf(trigger), { name: "Orders", ...change });
    assert.deepEqual(pointers(await put({ state: "published" })), ["/mapping", "/match"]);
    assert.deepEqual(pointers(await put({ mapping: MAPPING, match: "e-mail" })), ["/match"]);
    assert.deepEqual(pointers(await put({ mapping: MAPPING, match: "born", state: "published" })), ["/match"]);
    assert.deepEqual(pointers(await put({ verify: { type: "hubspot_v3", secret: "not-there" } })), ["/verify/secret"]);
    const bad = [{ pointer: "total", property: "", type: "money" }, MAPPING[0], MAPPING[0]];
    assert.deepEqual(pointers(await put({ mapping: bad, colour: "red" })), [
      "/colour",
      "/mapping/0/pointer",
      "/mapping/0/property",
      "/mapping/0/type",
      "/mapping/2/property",
    ]);
    assert.equal((await api.get(pathOf(trigger))).state, "listening");
    const create = (json) => api.refused(422, "POST", "/v1/workflows/mistakes/triggers", json);
    assert.deepEqual(pointers(await create({ verify: { type: "hmac" } })), ["/name", "/verify/header", "/verify/secret"]);
    assert.deepEqual(pointers(await create({ name: "T", verify: { type: "token", secret: "x", location: "query", name: "k" } })), [
      "/verify/secret",
    ]);
    await api.secret("no-key", "too-short");
    assert.deepEqual(pointers(await create({ name: "T", verify: { type: "standard_webhooks", secret: "no-key" } })), ["/verify/secret"]);
  });

  it("can be put back as it was shown, and stays published unless it says otherwise", async () => {
    const { trigger } = await published("round-in");
    const shown = await api.get(pathOf(trigger));
    assert.deepEqual(await api.expect(200, "PUT", pathOf(trigger), shown), shown);
    const { state, ...without } = shown;
    assert.equal((await api.expect(200, "PUT", pathOf(trigger), { ...without, name: "Renamed" })).state, state);
    const paused = await api.expect(200, "PUT", pathOf(trigger), { ...shown, state: "listening" });
    assert.deepEqual([paused.state, paused.mapping], ["listening", MAPPING]);
    assert.match((await post(trigger.url, order(1))).body.id, /^evt_/);
  });

  it("needs admin to change, and read to see", async () => {
    const { trigger } = await connect("scopes-in");
    const { token } = await api.done("POST", "/v1/tokens", { scopes: ["read"] });
    const reader = api.as(token);
    assert.equal((await reader.get(pathOf(trigger))).id, trigger.id);
    await reader.refused(403, "PUT", pathOf(trigger), { name: "x" });
    await reader.refused(403, "POST", "/v1/workflows/scopes-in/triggers", { name: "x" });
    await api.as(null).refused(401, "GET", `${pathOf(trigger)}/events`);
  });

  it("is counted, and listed page by page in the order of its making", async () => {
    await api.workflow("many", oneAction(receiver.endpoint("/many").url));
    const made = [];
    for (let n = 0; n < 20; n++) made.push(await api.expect(201, "POST", "/v1/workflows/many/triggers", { name: `T${n}` }));
    const problem = await api.refused(409, "POST", "/v1/workflows/many/triggers", { name: "one more" });
    assert.equal(problem.code, "too_many_triggers");
    assert.deepEqual(await api.all("/v1/workflows/many/triggers", { limit: 7 }), made);
    await api.refused(404, "GET", "/v1/workflows/absent/triggers");
    await api.refused(404, "POST", "/v1/workflows/absent/triggers", { name: "T" });
  });

  it("holds its secret fast", async () => {
    await api.secret("held-by-trigger", "v");
    const verify = { type: "token", location: "header", name: "X-Key", secret: "held-by-trigger" };
    const { trigger } = await connect("holds", verify, "Shop orders");
    const problem = await api.refused(409, "DELETE", "/v1/secrets/held-by-trigger");
    assert.match(problem.detail, /Shop orders.*holds/);
    assert.ok(!JSON.stringify(problem).includes(trigger.id), "an id is a key");
    await api.done("DELETE", pathOf(trigger));
    await api.done("DELETE", "/v1/secrets/held-by-trigger");
  });

  it("is gone when it is deleted, and its events with it", async () => {
    const { trigger } = await connect("deleted-in");
    await post(trigger.url, order(1));
    await api.done("DELETE", pathOf(trigger));
    assert.equal((await post(trigger.url, order(1))).status, 404);
    for (const [method, path] of [["GET", pathOf(trigger)], ["GET", `${pathOf(trigger)}/events`], ["DELETE", pathOf(trigger)]]) {
      await api.refused(404, method, path);
    }
  });

  it("goes with its workflow, and doesn't come back with its name", async () => {
    const { trigger } = await published("goes");
    assert.equal((await post(trigger.url, order(1))).status, 202);
    await api.drained("goes");
    await api.done("DELETE", "/v1/workflows/goes");
    assert.equal((await post(trigger.url, order(1))).status, 404);
    await api.workflow("goes", oneAction(receiver.endpoint("/goes-again").url));
    assert.equal((await post(trigger.url, order(1))).status, 404);
    assert.deepEqual(await api.all("/v1/workflows/goes/triggers"), []);
    await api.refused(404, "GET", pathOf(trigger));
    assert.equal((await api.stats("goes")).accepted, 0);
  });
});

/** Checks one way of proving who sends: `prove` gives what goes with a body, or with another secret. */
function proves(what, id, type, secret, other, prove, { wrong, tampered = true, missing }) {
  it(`${what} is let in, and nobody else`, async () => {
    const name = `${id}-secret`;
    await api.secret(name, secret);
    const { endpoint, trigger } = await published(id, { ...type, secret: name });
    const raw = JSON.stringify(order(1));
    const good = prove(trigger.url, raw, secret);
    const answer = await post(good.url ?? trigger.url, raw, good.headers);
    assert.equal(answer.status, 202, answer.text);
    await endpoint.waitFor(1);

    const bad = prove(trigger.url, raw, other);
    const { answer: problem, kept } = await refused(trigger, 401, wrong, raw, bad.headers, bad.url);
    assert.equal(problem.code, "unverified");
    assert.ok(!JSON.stringify(problem).includes(wrong), "the sender isn't told why");
    for (const value of [secret, other]) assert.ok(!JSON.stringify(kept.headers).includes(value), `${what}: a key is kept`);
    await sleep(1_050); // Failures are kept one a second.
    await refused(trigger, 401, missing, raw, {});
    if (tampered) assert.equal((await post(good.url ?? trigger.url, `${raw} `, good.headers)).status, 401);
    assert.equal((await api.drained(id)).accepted, 1);

    // Rotated: both are let in while both count.
    await api.done("POST", `/v1/secrets/${name}/rotate`, { value: other, overlap_s: 3_600 });
    for (const value of [secret, other]) {
      const proof = prove(trigger.url, raw, value);
      const overlapping = await post(proof.url ?? trigger.url, raw, proof.headers);
      assert.equal(overlapping.status, 202, `${what}: ${value} during the rotation: ${overlapping.text}`);
    }
    await api.done("POST", `/v1/secrets/${name}/rotate`, { value: other, overlap_s: 0 });
    const former = prove(trigger.url, raw, secret);
    assert.equal((await post(former.url ?? trigger.url, raw, former.headers)).status, 401, `${what}: the former secret`);
  });
}

describe("a sender that proves itself by", { concurrency: true }, () => {
  const [SECRET, OTHER] = ["6f1c-app-secret", "9a07-other-secret"];

  proves(
    "a token in a header",
    "by-header",
    { type: "token", location: "header", name: "X-Shop-Key" },
    SECRET,
    OTHER,
    (_, __, secret) => ({ headers: { "x-shop-key": secret } }),
    { wrong: "wrong_token", missing: "missing_token", tampered: false },
  );
  proves(
    "a bearer token",
    "by-bearer",
    { type: "token", location: "header", name: "Authorization" },
    SECRET,
    OTHER,
    (_, __, secret) => ({ headers: { authorization: `Bearer ${secret}` } }),
    { wrong: "wrong_token", missing: "missing_token", tampered: false },
  );
  proves(
    "a token in the query",
    "by-query",
    { type: "token", location: "query", name: "key" },
    SECRET,
    OTHER,
    (url, _, secret) => ({ url: `${url}?a=1&key=${encodeURIComponent(secret)}`, headers: {} }),
    { wrong: "wrong_token", missing: "missing_token", tampered: false },
  );
  for (const version of ["v1", "v2"]) {
    proves(
      `HubSpot's signature ${version}`,
      `by-hubspot-${version}`,
      { type: `hubspot_${version}` },
      SECRET,
      OTHER,
      (address, raw, secret) => {
        const url = `${address}?portal=62515&q=a%20b`;
        const options = { clientSecret: secret, requestBody: raw, url };
        const signature = Signature.getSignature("POST", version, options);
        return { url, headers: { "X-HubSpot-Signature": signature, "X-HubSpot-Signature-Version": version } };
      },
      { wrong: "wrong_signature", missing: "missing_header" },
    );
  }
  proves(
    "HubSpot's signature v3",
    "by-hubspot-v3",
    { type: "hubspot_v3" },
    SECRET,
    OTHER,
    hubspotV3,
    { wrong: "wrong_signature", missing: "missing_header" },
  );
  proves(
    "Standard Webhooks",
    "by-standard",
    { type: "standard_webhooks" },
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    (_, raw, secret) => ({ headers: standardWebhooks(raw, secret) }),
    { wrong: "wrong_signature", missing: "missing_header" },
  );
  proves(
    "an HMAC as GitHub sends it",
    "by-github",
    { type: "hmac", header: "X-Hub-Signature-256", algorithm: "sha256", encoding: "hex", prefix: "sha256=" },
    SECRET,
    OTHER,
    (_, raw, secret) => ({ headers: { "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(raw).digest("hex")}` } }),
    { wrong: "wrong_signature", missing: "missing_header" },
  );
  proves(
    "an HMAC as Shopify sends it",
    "by-shopify",
    { type: "hmac", header: "X-Shopify-Hmac-Sha256", encoding: "base64" },
    SECRET,
    OTHER,
    (_, raw, secret) => ({ headers: { "x-shopify-hmac-sha256": createHmac("sha256", secret).update(raw).digest("base64") } }),
    { wrong: "wrong_signature", missing: "missing_header" },
  );
  for (const algorithm of ["sha1", "sha512"]) {
    proves(
      `an HMAC with ${algorithm}`,
      `by-${algorithm}`,
      { type: "hmac", header: "X-Signature", algorithm, encoding: "hex", prefix: "" },
      SECRET,
      OTHER,
      (_, raw, secret) => ({ headers: { "x-signature": createHmac(algorithm, secret).update(raw).digest("hex") } }),
      { wrong: "wrong_signature", missing: "missing_header" },
    );
  }

  it("an old signature isn't let in", async () => {
    await api.secret("aged", SECRET);
    const { trigger } = await published("aged-hubspot", { type: "hubspot_v3", secret: "aged" });
    const raw = JSON.stringify(order(1));
    const { url, headers } = hubspotV3(trigger.url, raw, SECRET, Date.now() - 301_000);
    await refused(trigger, 401, "stale", raw, headers, url);

    const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    await api.secret("aged-key", key);
    const { trigger: standard } = await published("aged-standard", { type: "standard_webhooks", secret: "aged-key" });
    await refused(standard, 401, "stale", raw, standardWebhooks(raw, key, Date.now() - 301_000));
    await sleep(1_050);
    await refused(standard, 401, "ahead", raw, standardWebhooks(raw, key, Date.now() + 310_000));
  });

  it("a secret that it is verified with stays a key: what can't be one is refused, and events go on", async () => {
    const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    await api.secret("mended", key);
    const { endpoint, trigger } = await published("mended", { type: "standard_webhooks", secret: "mended" });
    for (const [method, path, json] of [
      ["POST", "/v1/secrets/mended/rotate", { value: "no key at all", overlap_s: 0 }],
      ["PUT", "/v1/secrets/mended", { value: "no key at all" }],
    ]) {
      const problem = await api.refused(422, method, path, json);
      assert.equal(problem.errors[0].pointer, "/value");
      assert.match(problem.errors[0].message, /trigger `Orders` of workflow `mended`/);
    }
    const raw = JSON.stringify(order(1));
    assert.equal((await post(trigger.url, raw, standardWebhooks(raw, key))).status, 202);
    await endpoint.waitFor(1);
  });

  it("it must be so while the trigger listens, too", async () => {
    await api.secret("listening", SECRET);
    const verify = { type: "token", location: "header", name: "x-key", secret: "listening" };
    const { trigger } = await connect("listening-verified", verify);
    await refused(trigger, 401, "missing_token", order(1));
    assert.equal((await post(trigger.url, order(1), { "x-key": SECRET })).status, 202);
    const { schema } = await eventsOf(trigger);
    assert.equal(schema.length, 6, "the schema is of what was taken");
  });
});

function hubspotV3(address, raw, secret, timestamp = Date.now()) {
  // HubSpot signs the URL with some of its escapes decoded; its client leaves that to the caller.
  const url = `${address}?to=https%3A%2F%2Fshop.example%2F%3Fa&q=a%20b`;
  const signed = `${address}?to=https://shop.example/?a&q=a%20b`;
  const options = { clientSecret: secret, requestBody: raw, url: signed, timestamp };
  const signature = Signature.getSignature("POST", "v3", options);
  return { url, headers: { "X-HubSpot-Signature-v3": signature, "X-HubSpot-Request-Timestamp": `${timestamp}` } };
}

let messages = 0;
function standardWebhooks(raw, secret, at = Date.now()) {
  const id = `msg_${++messages}`;
  return {
    "webhook-id": id,
    "webhook-timestamp": `${Math.floor(at / 1000)}`,
    "webhook-signature": new Webhook(secret).sign(id, new Date(at), raw),
  };
}

describe("what is refused", { concurrency: true }, () => {
  const cases = [
    ["no JSON by its name", 415, "unsupported_media_type", "a=1", { "content-type": "application/x-www-form-urlencoded" }],
    ["no JSON by its text", 400, "malformed_json", '{"a": '],
    ["too deep", 400, "json_too_deep", "[".repeat(1_000) + "]".repeat(1_000)],
    ["too large", 413, "too_large", JSON.stringify({ a: "x".repeat(256 * 1024) })],
    ["of nobody", 422, "no_match_value", { total: 5 }],
    ["of a wrong type", 422, "invalid_fields", order(1, { total: "much", placed_at: "soon" })],
    ["an empty list", 422, "no_event", []],
  ];
  for (const [what, status, reason, value, headers] of cases) {
    it(`says so, and is kept with its reason: ${what}`, async () => {
      const id = `refused-${reason.replaceAll("_", "-")}`;
      const { trigger } = await published(id);
      const { answer, kept } = await refused(trigger, status, reason, value, headers);
      assert.equal(answer.code, reason);
      if (reason === "no_match_value") {
        assert.deepEqual(pointers(answer), ["/customer/email"]);
        assert.match(kept.detail, /\/customer\/email/);
      }
      if (reason === "invalid_fields") assert.deepEqual(pointers(answer), ["/placed_at", "/total"]);
      if (reason === "too_large") assert.equal(kept.truncated, true);
      if (reason === "unsupported_media_type") assert.equal(kept.body, "a=1");
      assert.equal((await api.stats(id)).accepted, 0);
    });
  }

  it("what isn't the id of a trigger is a 404 by any method", async () => {
    for (const path of ["/t/x", "/t/", "/t", `/t/${"0".repeat(31)}`, `/t/${"A".repeat(32)}`, `/t/${"0".repeat(32)}/x`]) {
      await api.refused(404, "POST", path, { a: 1 }, { token: null });
    }
    await api.refused(404, "GET", `/t/${"0".repeat(32)}`, undefined, { token: null });
  });
});

describe("one at a time", () => {
  it("a hundred unknown ids are at most one question a second", async () => {
    const calls = async () => (await api.get("/__testing/counters")).object_calls;
    const [before, start] = [await calls(), Date.now()];
    for (let n = 0; n < 100; n++) {
      const id = n.toString(16).padStart(32, "e");
      assert.equal((await post(`${runtime.url}/t/${id}`, { a: 1 })).status, 404);
    }
    const [cost, seconds] = [(await calls()) - before, (Date.now() - start) / 1000];
    assert.ok(cost <= 2 + seconds, `${cost} calls in ${seconds} s`);
  });

  it("failures are kept at most one a second", async () => {
    const { trigger } = await published("flood");
    const start = Date.now();
    for (let n = 0; n < 30; n++) assert.equal((await post(trigger.url, { n })).status, 422);
    await refusal(trigger, "no_match_value");
    const seconds = (Date.now() - start) / 1000;
    const { items } = await eventsOf(trigger);
    assert.ok(items.length >= 1 && items.length <= 1 + seconds, `${items.length} events in ${seconds} s`);
    const times = items.map(({ at }) => at);
    times.slice(1).forEach((at, n) => assert.ok(times[n] - at >= 1_000, `${times}`));
  });

  it("the last ten events are kept, and a flood of failures leaves half of the others", async () => {
    await api.secret("ring", "ring-secret");
    const verify = { type: "token", location: "header", name: "authorization", secret: "ring" };
    const { trigger } = await connect("ring", verify);
    const headers = { authorization: "ring-secret" };
    for (let n = 1; n <= 12; n++) assert.equal((await post(trigger.url, { n }, headers)).body.id, `evt_${n}`);
    const ids = async () => (await eventsOf(trigger)).items.map(({ id }) => id);
    assert.deepEqual(await ids(), [12, 11, 10, 9, 8, 7, 6, 5, 4, 3].map((n) => `evt_${n}`));
    for (let n = 13; n <= 19; n++) {
      assert.equal((await post(trigger.url, { n }, { authorization: "wrong" })).status, 401);
      await until(`evt_${n}`, async () => (await ids())[0] === `evt_${n}`);
      await sleep(1_010);
    }
    const { items, schema } = await eventsOf(trigger);
    assert.deepEqual(items.map(({ status }) => status), [401, 401, 401, 401, 401, 202, 202, 202, 202, 202]);
    assert.deepEqual(items.slice(5).map(({ body: text }) => JSON.parse(text).n), [12, 11, 10, 9, 8]);
    assert.deepEqual(schema, [{ pointer: "/n", type: "number", sample: 12 }]);
    assert.ok(items.every(({ headers: kept }) => kept.authorization === "***"), JSON.stringify(items[0]));
  });

  it("a secret in a body isn't kept", async () => {
    await api.secret("echoed", "shh-quiet-please");
    const verify = { type: "token", location: "header", name: "x-key", secret: "echoed" };
    const { trigger } = await connect("echo", verify);
    await post(trigger.url, { copy: "shh-quiet-please" }, { "x-key": "shh-quiet-please", "x-copy": "shh-quiet-please" });
    const [event] = (await eventsOf(trigger)).items;
    assert.equal(event.body, '{"copy":"***"}');
    assert.equal(event.headers["x-copy"], "***");
    assert.ok(!JSON.stringify(event).includes("shh-quiet-please"));
    // Lines of `wrangler dev` itself tell each request's path; those of the Worker are JSON.
    const lines = runtime.output().split("\n").filter((line) => line.includes('"level"'));
    assert.ok(lines.every((line) => !line.includes(trigger.id)), "the Worker's log tells the id");
  });

  it("too many events are a 429 that says when to come again", async () => {
    const { trigger } = await connect("fast");
    const refusals = [];
    let sent = 0;
    const send = async () => {
      while (refusals.length === 0 && sent < 5_000) {
        sent++;
        const answer = await post(trigger.url, "x", { "content-type": "text/plain" });
        if (answer.status === 429) refusals.push(answer);
        else assert.equal(answer.status, 415);
      }
    };
    await Promise.all(Array.from({ length: 32 }, send));
    assert.ok(refusals.length > 0, `none of ${sent} events was too many`);
    assert.ok(sent > 200, `the ${sent}th was too many`);
    assert.equal(refusals[0].body.code, "rate_limited");
    const wait_s = Number(refusals[0].headers.get("retry-after"));
    assert.ok(Number.isInteger(wait_s) && wait_s >= 1 && wait_s <= 5, `${wait_s}`);
    await sleep(wait_s * 1_000);
    assert.equal((await post(trigger.url, order(1))).status, 202);
    // Another trigger isn't held up.
    const { trigger: other } = await connect("calm");
    assert.equal((await post(other.url, order(1))).status, 202);
  });

  it("an outbox out of reach is a 503, so that the sender repeats; then nothing is lost or doubled", async () => {
    const { endpoint, trigger } = await published("down-in");
    const headers = { "webhook-id": "msg_down" };
    await api.done("POST", "/__testing/outbox/down");
    try {
      const answer = await post(trigger.url, order(1), headers);
      assert.equal(answer.status, 503, answer.text);
      assert.ok(Number(answer.headers.get("retry-after")) >= 1);
      assert.equal((await refusal(trigger, "outbox_unreachable")).status, 503);
    } finally {
      await api.done("POST", "/__testing/outbox/up");
    }
    assert.equal((await post(trigger.url, order(1), headers)).status, 202);
    await endpoint.waitFor(1);
    assert.equal((await api.drained("down-in")).accepted, 1);
  });

  it("events are forgotten 30 days after the last one", async () => {
    const { trigger } = await connect("old-in");
    const DAY_MS = 86_400_000;
    const clock = (ms) => api.done("POST", `/__testing/clock?ahead_ms=${ms}`);
    await post(trigger.url, order(1));
    try {
      await clock(29.9 * DAY_MS);
      assert.equal((await eventsOf(trigger)).items.length, 1);
      await clock(30.1 * DAY_MS);
      assert.deepEqual(await eventsOf(trigger), { items: [], schema: [] });
    } finally {
      await clock(0);
    }
    assert.equal((await post(trigger.url, order(2))).body.id, "evt_1");
  });

  it("a known trigger goes on without the registry", async () => {
    const { endpoint, trigger } = await published("alone");
    await post(trigger.url, order(1));
    await api.done("POST", "/__testing/registry/down");
    try {
      assert.equal((await post(trigger.url, order(2))).status, 202);
    } finally {
      await api.done("POST", "/__testing/registry/up");
    }
    await endpoint.waitFor(2);
  });
});
