/** The description of the API: served, true about who may call what, and as strict as the server. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";

import { calls, description, FILE, mistakesIn } from "./support/openapi.mjs";
import { routes } from "./support/router.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";

const { api, receiver, runtime } = await stage();

describe("the description", () => {
  it("is a static file", async () => {
    const answer = await fetch(`${runtime.url}/openapi.json`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type"), /^application\/json/);
    assert.equal(await answer.text(), await readFile(FILE, "utf8"));
  });

  it("has every call of the router, and no other", () => {
    // Bins record whatever comes, the tests' own calls are in no released Worker, and HEAD is GET without a body.
    const described = routes().filter(({ method, parts }) => parts.at(-1) !== "**" && method !== "HEAD");
    const named = (method, path) => `${method} ${path.replace(/\{[^}]*\}/g, "{}")}`;
    assert.deepEqual(
      calls.map(({ method, path }) => named(method, path)).sort(),
      described.map(({ method, parts }) => named(method, `/${parts.join("/")}`)).sort(),
    );
  });

  it("has the version that runs", async () => {
    assert.equal(description.info.version, (await api.as(null).get("/healthz")).version);
  });
});

/** A path with something in its places that nobody has made. */
const filled = (path) => path.replace(/\{[^}]*\}/g, "none-such");

describe("every described call", () => {
  let weaker;
  before(async () => {
    weaker = {};
    for (const scope of ["read", "enroll"]) {
      weaker[scope] = api.as((await api.expect(201, "POST", "/v1/tokens", { scopes: [scope] })).token);
    }
  });

  for (const { method, path, call } of calls.filter(({ path }) => !path.startsWith("/t/"))) {
    it(`${method} ${path} is there, and asks for the token that it says`, async () => {
      const ask = (who) => who.call(method, filled(path), method === "GET" ? {} : { json: {} });
      const open = call.security?.length === 0;
      assert.equal((await ask(api.as(null))).status === 401, !open);
      for (const [scope, who] of Object.entries(weaker)) {
        const enough = open || call["x-scope"] === scope;
        assert.equal((await ask(who)).status === 403, !enough, `with ${scope}`);
      }
      const answer = await ask(api);
      assert.notEqual(answer.status, 401);
      assert.notEqual(answer.body?.code, "no_such_call");
    });
  }
});

/** The value with one thing changed in it: each field left out in turn, and one too many in each object. */
function* changed(value, path = []) {
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) {
      for (const [place, other] of changed(item, [...path, at])) yield [place, value.with(at, other)];
    }
  } else if (value !== null && typeof value === "object") {
    yield [[...path, "surplus"], { ...value, surplus: 1 }];
    for (const [name, inner] of Object.entries(value)) {
      const { [name]: _, ...rest } = value;
      yield [[...path, name], rest];
      yield [[...path, name, "as null"], { ...value, [name]: null }];
      for (const [place, other] of changed(inner, [...path, name])) yield [place, { ...value, [name]: other }];
    }
  }
}

const HERE = receiver.endpoint("/described").url;
const field = (name, value) => ({ name, value });
const action = (rest) => oneAction(HERE, rest, { ordering: "none", shards: 1, retention_days: 30 });

/** Inputs with everything in them that can be. Their free-form parts (`static`, `properties`) are flat texts. */
const WORKFLOWS = [
  action({
    headers: [field("x-a", { property: "a" })],
    query: [field("b", { event: "b" }), field("c", { record: "id" }), field("d", { now: "iso8601" }), field("e", { static: "s" }), field("f", { template: "{{ record.id }}" })],
    body: { kind: "properties", fields: [field("g", { property: "g" })] },
    outputs: [{ name: "h", pointer: "/h", type: "string", default: "x" }],
    timeout_ms: 10_000, on_failure: "stop", rate_limit: { requests: 5, per_ms: 1_000 },
    retry: { ...quickly, max_age_ms: 1_000, retry_after_unit: "seconds", also_retry: [408] },
    auth: { type: "none" },
  }),
  action({ body: { kind: "form", fields: [field("a", { property: "a" })] }, auth: { type: "hubspot_signature", secret: "described", versions: ["v1"] } }),
  action({ body: { kind: "text", content_type: "text/csv", template: "a" }, auth: { type: "api_key", location: "query", name: "k", secret: "described" } }),
  action({ body: { kind: "json", template: "a" }, auth: { type: "basic", username: "u", secret: "described" } }),
  action({ body: { kind: "all_properties" }, auth: { type: "bearer", secret: "described" } }),
  action({ body: { kind: "none" }, auth: { type: "standard_webhooks", secret: "described-whsec" } }),
];

const ENROLLMENTS = [{
  record: {
    id: "51", properties: { a: "b" }, history: { a: [{ value: "c", timestamp: 5, source_type: "API", source_id: "1", source_label: "l" }] },
    form_submissions: [], list_memberships: [], identity_profiles: [],
  },
  event: { order: "7" },
}];

/** Where the server may be as strict as it likes, or where JSON of any kind is fine. */
const FREE = /\/(static|template|default)\/as null$|\/(properties|event)\/(a|order|surplus)(\/|$)|\/history\/(a|surplus)$|\/value\/as null$|\/retry\//;

describe("the described inputs", { concurrency: true }, () => {
  before(async () => {
    await api.secret("described", "shh");
    await api.done("PUT", "/v1/secrets/described-whsec", { generate: "standard_webhooks" });
    await api.workflow("described", oneAction(HERE));
  });

  async function agree(schema, examples, send) {
    let compared = 0;
    for (const example of examples) {
      const described = (value) => mistakesIn(value, "components", "schemas", schema);
      assert.deepEqual(described(example), [], JSON.stringify(example));
      const whole = await send(example);
      assert.ok(whole.status < 300, `${JSON.stringify(example)}: ${whole.text}`);
      for (const [path, value] of changed(example)) {
        const place = `/${path.join("/")}`;
        if (FREE.test(place)) continue;
        const mistakes = described(value);
        const answer = await send(value);
        compared += 1;
        assert.equal(mistakes.length === 0, answer.status < 300, `${schema}${place}: ${JSON.stringify(mistakes)} / ${answer.text}`);
      }
    }
    return compared;
  }

  it("of a workflow are those that are accepted", async () => {
    const compared = await agree("Workflow", WORKFLOWS, (json) => api.call("PUT", "/v1/workflows/agreed", { json }));
    assert.ok(compared > 200, String(compared));
  });

  it("of an enrollment are those that are accepted", async () => {
    const compared = await agree("Enroll", ENROLLMENTS, (json) => api.call("POST", "/v1/workflows/described/enrollments", { json }));
    assert.ok(compared > 20, String(compared));
  });

  it("of secrets, tokens and scripts are those that are accepted", async () => {
    const secret = [{ value: "v", hosts: ["a.example"] }, { generate: "token", hosts: [] }];
    await agree("PutSecret", secret, (json) => api.call("PUT", "/v1/secrets/agreed", { json }));
    const rotation = [{ value: "v", overlap_s: 60, activate_at: 1_000 }, { generate: "token" }];
    await agree("RotateSecret", rotation, (json) => api.call("POST", "/v1/secrets/agreed/rotate", { json }));
    const token = [{ name: "t", scopes: ["read"] }, { scope: "enroll" }];
    await agree("CreateToken", token, (json) => api.call("POST", "/v1/tokens", { json }));
    const { id } = await api.expect(201, "POST", "/v1/inspect");
    const script = [{ status: 200, headers: {}, body: "b", delay_ms: 5, fail_first: 1 }];
    await agree("Script", script, (json) => api.call("PUT", `/v1/inspect/${id}/reply`, { json }));
  });
});
