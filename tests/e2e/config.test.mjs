/** Configuration: workflows, secrets, tokens; who may do what; and what bad input gets for an answer. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { pointers } from "./support/api.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver, runtime } = await stage();

const HERE = receiver.endpoint("/here").url;

describe("health", () => {
  it("is told without a token", async () => {
    const health = await api.as(null).get("/healthz");
    assert.equal(health.status, "ok");
    assert.match(health.version, /^\d+\.\d+\.\d+/);
  });
});

describe("a workflow", { concurrency: true }, () => {
  it("is created, shown, listed, replaced and deleted", async () => {
    const path = "/v1/workflows/whole-life";
    const definition = oneAction(HERE);
    await api.refused(404, "GET", path);
    await api.expect(201, "PUT", path, definition);
    await api.expect(200, "PUT", path, { ...definition, name: "Another name" });

    const shown = await api.get(path);
    assert.equal(shown.id, "whole-life");
    assert.equal(shown.name, "Another name");
    assert.equal(shown.object_type, "contact");
    assert.equal(shown.actions[0].url, HERE);
    const listed = await api.all("/v1/workflows");
    assert.deepEqual(listed.filter(({ id }) => id === "whole-life").map(({ name }) => name), ["Another name"]);

    await api.done("DELETE", path);
    await api.refused(404, "GET", path);
    await api.refused(404, "DELETE", path);
    await api.refused(404, "POST", `${path}/enrollments`, { record: contact() });
    assert.ok((await api.all("/v1/workflows")).every(({ id }) => id !== "whole-life"));
  });

  it("shows what an omitted field means", async () => {
    await api.workflow("defaults", { name: "n", object_type: "deal", actions: [{ id: "a", type: "webhook", method: "POST", url: HERE }] });
    const shown = await api.get("/v1/workflows/defaults");
    assert.equal(shown.shards, 1);
    assert.equal(shown.ordering, "none");
    const [action] = shown.actions;
    assert.deepEqual(action.auth, { type: "none" });
    assert.deepEqual(action.body, { kind: "all_properties" });
    assert.equal(action.timeout_ms, 25_000);
    assert.equal(action.on_failure, "continue");
    const { first_ms, factor, max_ms, max_age_ms, jitter, retry_after_unit } = action.retry;
    assert.deepEqual(
      [first_ms, factor, max_ms, max_age_ms, jitter, retry_after_unit],
      [60_000, 2, 28_800_000, 259_200_000, 0.1, "milliseconds"],
    );
  });

  it("can be put back as it was shown", async () => {
    await api.workflow("round", oneAction(HERE, { headers: [{ name: "X-A", value: { record: "id" } }] }));
    const shown = await api.get("/v1/workflows/round");
    await api.expect(200, "PUT", "/v1/workflows/round", shown);
    assert.deepEqual((await api.get("/v1/workflows/round")).actions, shown.actions);
  });

  it("is in force at once after an edit", async () => {
    const urls = [1, 2, 3].map((n) => receiver.endpoint(`/edit-${n}`));
    for (const endpoint of urls) {
      await api.workflow("edited", oneAction(endpoint.url));
      await api.enroll("edited", contact());
    }
    for (const endpoint of urls) await endpoint.waitFor(1);
    await api.drained("edited");
    assert.deepEqual(urls.map(({ requests }) => requests.length), [1, 1, 1]);
  });

  it("starts empty when its name is used again", async () => {
    await api.workflow("reborn", oneAction(HERE));
    const { id } = await api.enroll("reborn", contact());
    await api.ended("reborn", id);
    await api.done("DELETE", "/v1/workflows/reborn");
    await api.workflow("reborn", oneAction(HERE));
    assert.equal((await api.stats("reborn")).accepted, 0);
    assert.deepEqual(await api.deliveries("reborn"), []);
    await api.refused(404, "GET", `/v1/workflows/reborn/enrollments/${id}`);
  });

  it("keeps its number of shards", async () => {
    await api.workflow("sharded", oneAction(HERE, {}, { shards: 4 }));
    const problem = await api.call("PUT", "/v1/workflows/sharded", { json: oneAction(HERE, {}, { shards: 8 }) });
    assert.ok([409, 422].includes(problem.status), problem.text);
    assert.equal((await api.get("/v1/workflows/sharded")).shards, 4);
  });
});

describe("a secret", { concurrency: true }, () => {
  it("goes in and never comes out", async () => {
    const value = "hush-hush-0123456789";
    const stored = await api.secret("hidden", value);
    assert.equal(stored.name, "hidden");
    await api.workflow("hiding", oneAction(HERE, { auth: { type: "bearer", secret: "hidden" } }));
    const { id } = await api.enroll("hiding", contact());
    await api.ended("hiding", id);
    const delivery = await api.deliveryOf("hiding", id);
    for (const [what, answer] of Object.entries({
      stored,
      listed: await api.all("/v1/secrets"),
      workflow: await api.get("/v1/workflows/hiding"),
      delivery,
    })) {
      assert.ok(!JSON.stringify(answer).includes(value), `${what} tells the secret`);
    }
    assert.ok(!runtime.output().includes(value), "the runtime's output tells the secret");
  });

  it("is listed by its name and time", async () => {
    await api.secret("named", "v");
    const found = (await api.all("/v1/secrets")).find(({ name }) => name === "named");
    assert.ok(found.created_at > 1.7e12 && found.created_at <= Date.now());
    assert.equal(found.value, undefined);
  });

  it("that Varde makes is shown once", async () => {
    const { value: webhook } = await api.done("PUT", "/v1/secrets/made", { generate: "standard_webhooks" });
    assert.match(webhook, /^whsec_[A-Za-z0-9+/]+=*$/);
    assert.ok(Buffer.from(webhook.slice(6), "base64").length >= 24);
    const { value: token } = await api.done("PUT", "/v1/secrets/made-token", { generate: "token" });
    assert.ok(token.length >= 32);
    const again = await api.done("PUT", "/v1/secrets/made-token", { generate: "token" });
    assert.notEqual(again.value, token);
    assert.ok(!JSON.stringify(await api.all("/v1/secrets")).includes(token));
  });

  it("can't be deleted while a workflow uses it", async () => {
    await api.secret("used", "v");
    await api.workflow("user", oneAction(HERE, { auth: { type: "bearer", secret: "used" } }));
    const problem = await api.refused(409, "DELETE", "/v1/secrets/used");
    assert.match(problem.detail, /user/, "it says who uses it");
    await api.workflow("user", oneAction(HERE));
    await api.done("DELETE", "/v1/secrets/used");
    await api.refused(404, "DELETE", "/v1/secrets/used");
  });

  it("that isn't there can't be named by a workflow", async () => {
    const definition = oneAction(HERE, { auth: { type: "bearer", secret: "no-such-secret" } });
    const problem = await api.refused(422, "PUT", "/v1/workflows/secretless", definition);
    assert.deepEqual(pointers(problem), ["/actions/0/auth/secret"]);
    await api.refused(404, "GET", "/v1/workflows/secretless");
  });

  it("of the wrong shape is refused", async () => {
    for (const body of [{}, { value: "" }, { value: 7 }, { value: "v", generate: "token" }, { generate: "magic" }, { value: "v", colour: 1 }]) {
      await api.refused(422, "PUT", "/v1/secrets/misshapen", body);
    }
    await api.refused(422, "PUT", "/v1/secrets/Bad%20Name", { value: "v" });
    assert.ok((await api.all("/v1/secrets")).every(({ name }) => name !== "misshapen"));
    // A Standard Webhooks secret has its own shape, and the workflow that wants one says so.
    await api.secret("not-whsec", "plain");
    const definition = oneAction(HERE, { auth: { type: "standard_webhooks", secret: "not-whsec" } });
    assert.deepEqual(pointers(await api.refused(422, "PUT", "/v1/workflows/not-whsec", definition)), ["/actions/0/auth/secret"]);
  });
});

describe("a token", { concurrency: true }, () => {
  it("is shown once, and ends when it is deleted", async () => {
    const made = await api.expect(201, "POST", "/v1/tokens", { name: "reader", scope: "read" });
    assert.ok(made.token.length >= 43, "256 bits");
    const holder = api.as(made.token);
    await holder.get("/v1/workflows");
    const listed = await api.all("/v1/tokens");
    assert.ok(listed.some(({ id }) => id === made.id));
    assert.ok(!JSON.stringify(listed).includes(made.token));
    await api.done("DELETE", `/v1/tokens/${made.id}`);
    await holder.refused(401, "GET", "/v1/workflows");
    await api.refused(404, "DELETE", `/v1/tokens/${made.id}`);
  });

  it("without a known scope isn't made", async () => {
    for (const scope of ["", "root", ["read"], undefined]) {
      await api.refused(422, "POST", "/v1/tokens", { name: "bad", scope });
    }
  });

  it("may do what its scope says, on every route, and no more", async () => {
    await api.workflow("scoped", oneAction(HERE));
    const tokens = {};
    for (const scope of ["read", "enroll", "admin"]) {
      tokens[scope] = (await api.done("POST", "/v1/tokens", { name: `may ${scope}`, scope })).token;
    }
    const { id: bin } = await api.done("POST", "/v1/inspect");
    const absent = "00000000000000000000000000";
    const workflow = "/v1/workflows/scoped";
    const routes = [
      ["read", "GET", "/v1/workflows"],
      ["read", "GET", workflow],
      ["read", "GET", `${workflow}/stats`],
      ["read", "GET", `${workflow}/enrollments`],
      ["read", "GET", `${workflow}/enrollments/enr_${absent}`],
      ["read", "GET", `${workflow}/deliveries`],
      ["read", "GET", `${workflow}/deliveries/dlv_${absent}`],
      ["read", "GET", "/v1/secrets"],
      ["read", "GET", `/v1/inspect/${bin}/requests`],
      ["enroll", "POST", `${workflow}/enrollments`, { record: contact() }],
      ["enroll", "POST", `${workflow}/enrollments/batch`, { inputs: [{ record: contact() }] }],
      ["admin", "GET", "/v1/tokens"],
      ["admin", "POST", "/v1/tokens", { name: "another", scope: "read" }],
      ["admin", "DELETE", "/v1/tokens/absent"],
      ["admin", "PUT", workflow, oneAction(HERE)],
      ["admin", "DELETE", "/v1/workflows/absent"],
      ["admin", "POST", `${workflow}/pause`],
      ["admin", "POST", `${workflow}/resume`],
      ["admin", "POST", `${workflow}/actions/tell/pause`],
      ["admin", "POST", `${workflow}/actions/tell/resume`],
      ["admin", "PUT", "/v1/secrets/scoped", { value: "v" }],
      ["admin", "DELETE", "/v1/secrets/absent"],
      ["admin", "POST", "/v1/inspect"],
      ["admin", "PUT", `/v1/inspect/${bin}/reply`, { status: 200 }],
      ["admin", "DELETE", "/v1/inspect/absent"],
    ];
    for (const [needed, method, path, json] of routes) {
      const said = `${method} ${path}`;
      const none = await api.refused(401, method, path, json, { token: null });
      const wrong = await api.refused(401, method, path, json, { token: "wrong" });
      assert.deepEqual(none, wrong, `${said} says nothing about why`);
      for (const scope of Object.keys(tokens)) {
        const { status } = await api.call(method, path, { json, token: tokens[scope] });
        const enough = scope === needed || scope === "admin";
        if (enough) assert.ok(status !== 401 && status !== 403, `${said} with ${scope}: ${status}`);
        else assert.equal(status, 403, `${said} with ${scope}`);
      }
    }
  });

  it("must come as a bearer token", async () => {
    for (const authorization of ["", "Bearer", "Bearer ", `Basic ${runtime.adminToken}`, runtime.adminToken, `Bearer  ${runtime.adminToken}x`]) {
      await api.refused(401, "GET", "/v1/workflows", undefined, { token: null, headers: { authorization } });
    }
    await api.refused(401, "GET", `/v1/workflows?token=${runtime.adminToken}`, undefined, { token: null });
  });
});

describe("bad input", { concurrency: true }, () => {
  const json = { "content-type": "application/json" };
  let names = 0;

  /** Refused with a status, or one of some, and not there afterwards. */
  async function refusedWhole(status, options) {
    const path = `/v1/workflows/refused-${++names}`;
    const { body, text, status: found } = await api.call("PUT", path, options);
    assert.ok([status].flat().includes(found), `expected ${status}, found ${found}: ${text}`);
    await api.refused(404, "GET", path);
    return body;
  }

  it("that isn't JSON is a 400", async () => {
    for (const raw of ["", "{", '{"name": }', "nul", '{"a":1} x', Buffer.from([0x7b, 0xff, 0x7d])]) {
      await refusedWhole(400, { raw, headers: json });
    }
  });

  it("of another media type is a 415", async () => {
    const raw = JSON.stringify(oneAction(HERE));
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"]) {
      await refusedWhole(415, { raw, headers: { "content-type": type } });
    }
    await refusedWhole(415, { raw: Buffer.from(raw) });
  });

  it("may say its charset", async () => {
    const raw = JSON.stringify(oneAction(HERE));
    await api.expect(201, "PUT", "/v1/workflows/charset", undefined, { raw, headers: { "content-type": "application/json; charset=utf-8" } });
  });

  it("that is too large is a 413", async () => {
    await refusedWhole(413, { json: { ...oneAction(HERE), name: "x".repeat(256 * 1024) } });
    await api.workflow("small", oneAction(HERE));
    const big = { record: contact("1", { text: "x".repeat(256 * 1024) }) };
    await api.refused(413, "POST", "/v1/workflows/small/enrollments", big);
    await api.refused(413, "POST", "/v1/workflows/small/enrollments/batch", {
      inputs: Array.from({ length: 21 }, () => ({ record: contact("1", { text: "x".repeat(200 * 1024) }) })),
    });
    assert.equal((await api.stats("small")).accepted, 0);
  });

  it("that is too deep is refused before it can hurt", async () => {
    const deep = (depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
    for (const raw of [`{"name":${deep(70)}}`, deep(20_000), "[".repeat(50_000) + "]".repeat(50_000)]) {
      const problem = await refusedWhole([400, 422], { raw, headers: json });
      assert.match(problem.detail, /64/, "it says how deep is allowed");
    }
  });

  it("with a field that nobody knows is a 422 that points at it", async () => {
    const definition = oneAction(HERE, { colour: "blue" }, { flavour: "sweet" });
    const problem = await refusedWhole(422, { json: definition });
    assert.deepEqual(pointers(problem), ["/actions/0/colour", "/flavour"]);
  });

  it("gets all its mistakes told at once", async () => {
    const definition = {
      object_type: "contact",
      name: 7,
      shards: 65,
      actions: [
        { id: "Bad Id", type: "webhook", method: "TRACE", url: "ftp://example.com/", retry: { first_ms: 1 } },
        { id: "two", type: "webhook", method: "POST", url: HERE, timeout_ms: 10, headers: [{ name: "Host", value: { static: "x" } }] },
      ],
    };
    const problem = await refusedWhole(422, { json: definition });
    const found = pointers(problem);
    for (const expected of [
      "/name",
      "/shards",
      "/actions/0/id",
      "/actions/0/method",
      "/actions/0/url",
      "/actions/0/retry/first_ms",
      "/actions/1/timeout_ms",
      "/actions/1/headers/0/name",
    ]) {
      assert.ok(found.includes(expected), `${expected} is not in ${found}`);
    }
  });

  it("without what is required is a 422", async () => {
    const whole = oneAction(HERE);
    for (const field of ["name", "object_type", "actions"]) {
      await refusedWhole(422, { json: { ...whole, [field]: undefined } });
    }
    for (const field of ["id", "type", "method", "url"]) {
      await refusedWhole(422, { json: { ...whole, actions: [{ ...whole.actions[0], [field]: undefined }] } });
    }
    for (const other of [[], "text", 7, null, true]) await refusedWhole(422, { json: other });
  });

  for (const url of [
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://0x0a000001/",
    "https://167772161/",
    "https://8.8.8.8/",
    "http://example.com/",
    "https://user:pass@example.com/",
    "https://intranet/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://localhost./",
    "https://example.com:80/",
    "https://127.0.0.2/",
    "data:text/plain,hello",
    `https://example.com/${"x".repeat(2_048)}`,
    "not a URL",
    "",
  ]) {
    it(`with the URL ${url.slice(0, 50) || "(empty)"} is a 422 that points at it`, async () => {
      const problem = await refusedWhole(422, { json: oneAction(url) });
      assert.deepEqual(pointers(problem), ["/actions/0/url"]);
    });
  }

  it("with a name that is no slug is refused", async () => {
    for (const id of ["Upper", "-dash", "a%20b", "x".repeat(64)]) {
      const { status, text } = await api.call("PUT", `/v1/workflows/${id}`, { json: oneAction(HERE) });
      assert.ok([404, 422].includes(status), text);
    }
  });

  it("in an enrollment is a 422, and nobody is enrolled", async () => {
    await api.workflow("strict", oneAction(HERE));
    const many = Object.fromEntries(Array.from({ length: 1_001 }, (_, n) => [`p${n}`, n]));
    for (const [body, expected] of [
      [{}, undefined],
      [{ record: {} }, undefined],
      [{ record: { id: "1", properties: [] } }, "/record/properties"],
      [{ record: { id: "", properties: {} } }, "/record/id"],
      [{ record: { id: true, properties: {} } }, "/record/id"],
      [{ record: contact(), colour: "blue" }, "/colour"],
      [{ record: { ...contact(), colour: "blue" } }, "/record/colour"],
      [{ record: contact(), event: "text" }, "/event"],
      [{ record: contact("1", many) }, "/record/properties"],
    ]) {
      const problem = await api.refused(422, "POST", "/v1/workflows/strict/enrollments", body);
      if (expected !== undefined) assert.deepEqual(pointers(problem), [expected], JSON.stringify(body).slice(0, 200));
    }
    const stats = await api.stats("strict");
    assert.deepEqual([stats.accepted, (await api.all("/v1/workflows/strict/enrollments")).length], [0, 0]);
  });

  it("to a route that isn't there is a 404", async () => {
    for (const [method, route] of [["GET", "/v1"], ["GET", "/v1/nothing"], ["POST", "/v1/workflows/a/b/c/d/e"], ["GET", "/v1//workflows"]]) {
      await api.refused(404, method, route);
    }
    const { status, text } = await api.call("PATCH", "/v1/workflows");
    assert.ok([404, 405].includes(status), text);
  });
});
