/** What arrives when all goes well, and whether other people's code believes it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Signature } from "@hubspot/api-client";
import { Webhook } from "standardwebhooks";

import { contact, oneAction, quickly, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

/** Sends one record through a workflow of one action, and gives what arrived. */
async function deliver(id, action, { record = contact(), workflow, path = `/${id}`, replies = [] } = {}) {
  const endpoint = receiver.endpoint(path.split("?")[0], ...replies);
  await api.workflow(id, oneAction(receiver.origin + path, action, workflow));
  const { id: enrollment } = await api.enroll(id, record);
  const [arrival] = await endpoint.waitFor(1);
  await api.ended(id, enrollment);
  const delivery = await api.deliveryOf(id, enrollment);
  assert.equal(endpoint.requests.length, 1, "one request is enough");
  assert.equal(delivery.status, "delivered", JSON.stringify(delivery));
  return { arrival, delivery, enrollment };
}

describe("a delivery", { concurrency: true }, () => {
  it("arrives at the first attempt, and the log says the same as the receiver", async () => {
    const reply = { status: 201, headers: { "content-type": "application/json", "x-shop": "north" }, body: '{"ok":true}' };
    const before = Date.now();
    const { arrival, delivery, enrollment } = await deliver("plain", {}, { replies: [reply] });

    assert.match(enrollment, /^enr_[0-9a-hjkmnp-tv-z]{26}$/);
    assert.match(delivery.id, /^dlv_[0-9a-hjkmnp-tv-z]{26}$/);
    assert.equal(delivery.enrollment, enrollment);
    assert.equal(delivery.workflow, "plain");
    assert.equal(delivery.action, "tell");
    assert.equal(delivery.record, "51");
    assert.equal(delivery.attempt, 1);
    assert.equal(delivery.next_due, undefined);
    assert.ok(before <= delivery.created_at && delivery.created_at <= delivery.settled_at && delivery.settled_at <= Date.now());

    assert.equal(arrival.method, "POST");
    assert.equal(delivery.request.method, "POST");
    assert.equal(delivery.request.url, arrival.url);
    assert.equal(delivery.request.body, arrival.text);

    assert.equal(delivery.attempts.length, 1);
    const [attempt] = delivery.attempts;
    assert.equal(attempt.number, 1);
    assert.equal(attempt.outcome, "response");
    assert.equal(attempt.verdict, "delivered");
    assert.equal(attempt.status, 201);
    assert.equal(attempt.response.body, '{"ok":true}');
    assert.equal(attempt.response.truncated, false);
    assert.equal(attempt.response.headers["x-shop"], "north");
    assert.equal(attempt.next_due, undefined);
    assert.ok(attempt.started_at >= before && attempt.duration_ms >= 0);
  });

  it("always carries who sends it, its id, its time and its attempt", async () => {
    const { arrival, delivery } = await deliver("headers-always", {});
    assert.match(arrival.headers["user-agent"], /^Varde\/\d+\.\d+\.\d+/);
    assert.match(arrival.headers["content-type"], /^application\/json\b/);
    assert.equal(arrival.headers["webhook-id"], delivery.id);
    assert.equal(arrival.headers["varde-attempt"], "1");
    assert.match(arrival.headers["webhook-timestamp"], /^\d{10}$/);
    const stamp = Number(arrival.headers["webhook-timestamp"]);
    assert.ok(Math.floor(delivery.created_at / 1000) <= stamp && stamp <= arrival.at / 1000);
  });

  it("tells all about a contact in HubSpot's shape", async () => {
    const { arrival } = await deliver("profile", {}, { record: contact("51", { email: "ada@example.com", age: 36 }) });
    const profile = JSON.parse(arrival.text);
    assert.equal(profile.vid, 51);
    assert.equal(profile["canonical-vid"], 51);
    assert.equal(profile["is-contact"], true);
    assert.equal(profile.properties.email.value, "ada@example.com");
    for (const list of ["merged-vids", "form-submissions", "list-memberships", "identity-profiles", "merge-audits"]) {
      assert.deepEqual(profile[list], [], list);
    }
  });

  it("sends picked properties in their order, under their new names, with their types", async () => {
    const fields = [
      { name: "Zulu", value: { property: "email" } },
      { name: "Age", value: { property: "age" } },
      { name: "Alpha", value: { static: { nested: [1, null, "x"] } } },
      { name: "Unset", value: { property: "nothing" } },
      { name: "Member", value: { property: "member" } },
      { name: "Record", value: { record: "id" } },
      { name: "Name", value: { property: "name" } },
    ];
    const { arrival } = await deliver(
      "picked",
      { body: { kind: "properties", fields } },
      { record: contact("7", { name: "Åse 🦊", member: true, age: 36, email: "ada@example.com" }) },
    );
    assert.equal(
      arrival.text,
      '{"Zulu":"ada@example.com","Age":36,"Alpha":{"nested":[1,null,"x"]},"Unset":"","Member":true,"Record":"7","Name":"Åse 🦊"}',
    );
  });

  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
    it(`goes out as ${method}`, async () => {
      const { arrival } = await deliver(`method-${method.toLowerCase()}`, { method });
      assert.equal(arrival.method, method);
      const hasBody = !["GET", "DELETE"].includes(method);
      assert.equal(arrival.body.length > 0, hasBody);
      assert.equal("content-type" in arrival.headers, hasBody);
    });
  }

  it("appends its query to the URL's own, in order, escaped, without what is unset", async () => {
    const query = [
      { name: "mail", value: { property: "email" } },
      { name: "gone", value: { property: "nothing" } },
      { name: "a b", value: { static: "x&y=z é" } },
      { name: "n", value: { property: "age" } },
    ];
    const { arrival } = await deliver(
      "query",
      { method: "GET", query },
      { path: "/query?src=crm", record: contact("1", { email: "ada+1@example.com", age: 36 }) },
    );
    assert.match(arrival.target, /^\/query\?src=crm&/);
    assert.deepEqual([...new URL(arrival.url).searchParams], [
      ["src", "crm"],
      ["mail", "ada+1@example.com"],
      ["a b", "x&y=z é"],
      ["n", "36"],
    ]);
  });

  it("carries the headers that the action asks for", async () => {
    const headers = [
      { name: "X-Record", value: { record: "id" } },
      { name: "X-Fixed", value: { static: "yes" } },
    ];
    const { arrival } = await deliver("headers-own", { headers });
    assert.equal(arrival.headers["x-record"], "51");
    assert.equal(arrival.headers["x-fixed"], "yes");
  });
});

describe("a HubSpot signature", { concurrency: true }, () => {
  const clientSecret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";

  /** As HubSpot's documents ask of a receiver, before it hands the URL to the library for v3. */
  const decoded = (url) => url.replace(/%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi, decodeURIComponent);

  /** What HubSpot's own client says about an arrival, for each version that it carries. */
  function believed(arrival, secret = clientSecret) {
    const { headers } = arrival;
    const common = { clientSecret: secret, method: arrival.method, requestBody: arrival.text };
    const verdicts = {};
    if ("x-hubspot-signature" in headers) {
      const signatureVersion = headers["x-hubspot-signature-version"];
      verdicts[signatureVersion] = Signature.isValid({
        ...common,
        signatureVersion,
        signature: headers["x-hubspot-signature"],
        url: arrival.url,
      });
    }
    if ("x-hubspot-signature-v3" in headers) {
      verdicts.v3 = Signature.isValid({
        ...common,
        signatureVersion: "v3",
        signature: headers["x-hubspot-signature-v3"],
        url: decoded(arrival.url),
        timestamp: Number(headers["x-hubspot-request-timestamp"]),
      });
    }
    return verdicts;
  }

  const signed = (secret, versions) => ({ auth: { type: "hubspot_signature", secret, ...(versions && { versions }) } });

  it("is v2 and v3 by default, and HubSpot's own client accepts both", async () => {
    await api.secret("hubspot-post", clientSecret);
    const { arrival } = await deliver("hubspot-post", signed("hubspot-post"), { record: contact("9", { name: "Åse 🦊" }) });
    assert.deepEqual(believed(arrival), { v2: true, v3: true });
    assert.deepEqual(believed(arrival, "another secret"), { v2: false, v3: false });
    const stamp = Number(arrival.headers["x-hubspot-request-timestamp"]);
    assert.ok(stamp > 1e12 && stamp <= arrival.at, "the timestamp is in milliseconds");
  });

  it("covers method and query of a GET", async () => {
    await api.secret("hubspot-get", clientSecret);
    const query = [
      { name: "mail", value: { property: "email" } },
      { name: "list", value: { static: "a,b;c:d/e?f@g!h$i'j(k)l*m" } },
    ];
    const { arrival } = await deliver("hubspot-get", { method: "GET", query, ...signed("hubspot-get") }, { path: "/hubspot-get?x=%2F%20" });
    assert.equal(arrival.text, "");
    assert.deepEqual(believed(arrival), { v2: true, v3: true });
    assert.deepEqual(believed({ ...arrival, url: `${arrival.url}&more=1` }), { v2: false, v3: false });
  });

  it("is v1 where v1 is asked for", async () => {
    await api.secret("hubspot-v1", clientSecret);
    const { arrival } = await deliver("hubspot-v1", signed("hubspot-v1", ["v1"]));
    assert.deepEqual(believed(arrival), { v1: true });
    assert.deepEqual(believed({ ...arrival, text: `${arrival.text} ` }), { v1: false });
  });

  it("is v3 alone where v3 alone is asked for", async () => {
    await api.secret("hubspot-v3", clientSecret);
    const { arrival } = await deliver("hubspot-v3", signed("hubspot-v3", ["v3"]));
    assert.deepEqual(believed(arrival), { v3: true });
  });
});

describe("a Standard Webhooks signature", { concurrency: true }, () => {
  const signed = (secret) => ({ auth: { type: "standard_webhooks", secret } });

  it("is accepted by the library of the standard", async () => {
    const secret = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;
    await api.secret("standard", secret);
    const { arrival } = await deliver("standard", signed("standard"), { record: contact("9", { name: "Åse 🦊" }) });
    assert.deepEqual(new Webhook(secret).verify(arrival.text, arrival.headers), JSON.parse(arrival.text));
    assert.match(arrival.headers["webhook-signature"], /^v1,[A-Za-z0-9+/]{43}=$/);
    assert.throws(() => new Webhook(secret).verify(`${arrival.text} `, arrival.headers), /No matching signature/);
  });

  it("is made with a secret that Varde made", async () => {
    const { value } = await api.done("PUT", "/v1/secrets/standard-made", { generate: "standard_webhooks" });
    const { arrival } = await deliver("standard-made", signed("standard-made"));
    assert.ok(new Webhook(value).verify(arrival.text, arrival.headers));
  });

  it("covers the empty body of a GET", async () => {
    const { value } = await api.done("PUT", "/v1/secrets/standard-get", { generate: "standard_webhooks" });
    const { arrival } = await deliver("standard-get", { method: "GET", ...signed("standard-get") });
    new Webhook(value).verify("", arrival.headers);
    assert.throws(() => new Webhook(value).verify("x", arrival.headers), /No matching signature/);
  });
});

describe("a key", { concurrency: true }, () => {
  const key = "s3cr3t/key+with=signs";

  for (const [id, auth, header, expected] of [
    ["key-header", { type: "api_key", location: "header", name: "X-Api-Key" }, "x-api-key", key],
    ["bearer", { type: "bearer" }, "authorization", `Bearer ${key}`],
    ["basic", { type: "basic", username: "ada" }, "authorization", `Basic ${Buffer.from(`ada:${key}`).toString("base64")}`],
  ]) {
    it(`goes into the header (${id})`, async () => {
      await api.secret(id, key);
      const { arrival } = await deliver(id, { auth: { ...auth, secret: id } });
      assert.equal(arrival.headers[header], expected);
    });
  }

  it("goes into the query, after what else is there", async () => {
    await api.secret("key-query", key);
    const { arrival } = await deliver(
      "key-query",
      { auth: { type: "api_key", location: "query", name: "token", secret: "key-query" } },
      { path: "/key-query?src=crm" },
    );
    assert.deepEqual([...new URL(arrival.url).searchParams], [["src", "crm"], ["token", key]]);
  });

  it("shows up nowhere in the log, not even where the endpoint echoes it", async () => {
    await api.secret("echoed", key);
    const echo = (request) => ({
      headers: { "x-echo": request.headers.authorization },
      body: `${request.headers.authorization} ${encodeURIComponent(key)} ${Buffer.from(key).toString("base64")}`,
    });
    const { arrival, delivery } = await deliver("echoed", { auth: { type: "bearer", secret: "echoed" } }, { replies: [echo] });
    assert.equal(arrival.headers.authorization, `Bearer ${key}`);
    const log = JSON.stringify(delivery);
    for (const form of [key, encodeURIComponent(key), Buffer.from(key).toString("base64")]) {
      assert.ok(!log.includes(form), `${form} is in ${log}`);
    }
  });

  it("is used as it is at the time of the attempt", async () => {
    await api.secret("replaced", "old");
    const endpoint = receiver.endpoint("/replaced", { status: 503, fault: "hold" }, 200);
    const auth = { type: "bearer", secret: "replaced" };
    await api.workflow("replaced", oneAction(endpoint.url, { auth, retry: { ...quickly, first_ms: 500, max_ms: 500 } }));
    await api.enroll("replaced", contact());
    await endpoint.waitForHeld(1);
    await api.secret("replaced", "new");
    endpoint.release(503);
    const [first, second] = await endpoint.waitFor(2);
    assert.equal(first.headers.authorization, "Bearer old");
    assert.equal(second.headers.authorization, "Bearer new");
  });
});
