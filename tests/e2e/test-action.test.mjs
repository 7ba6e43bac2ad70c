/** Trying an action out: sent once and shown; nothing is enrolled, stored or retried. */

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, it } from "node:test";
import { gzipSync } from "node:zlib";

import { pointers } from "./support/api.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver, runtime, authority } = await stage();

const JSON_TYPE = { "content-type": "application/json" };
const draftOf = (url, action = {}) => ({ id: "tell", type: "webhook", method: "POST", url, ...action });

/** Tries a draft; 200 unless told otherwise. */
function tryDraft(action, input = {}) {
  return api.expect(200, "POST", "/v1/test", { action, object_type: "contact", record: contact(), ...input });
}

function refusedDraft(action, input = {}) {
  return api.refused(422, "POST", "/v1/test", { action, object_type: "contact", record: contact(), ...input });
}

describe("a test of a saved action", { concurrency: true }, () => {
  it("sends the real thing, and shows both sides of it", async () => {
    const endpoint = receiver.endpoint("/saved", { status: 201, headers: { ...JSON_TYPE, "x-shop": "north" }, body: '{"order":{"id":7}}' });
    await api.done("PUT", "/v1/secrets/saved", { generate: "token" });
    const action = {
      auth: { type: "hubspot_signature", secret: "saved" },
      body: { kind: "json", template: { ref: "{{ properties.ref }}", by: "{{ event.by }}", id: "{{ outputs.login.id }}" } },
      outputs: [
        { name: "order", pointer: "/order/id", type: "number" },
        { name: "colour", pointer: "/colour", type: "string", default: "grey" },
        { name: "absent", pointer: "/absent", type: "string" },
      ],
    };
    const login = { id: "login", type: "webhook", method: "GET", url: endpoint.url, outputs: [{ name: "id", pointer: "/id", type: "json" }] };
    await api.workflow("saved", { ...oneAction(endpoint.url), actions: [login, draftOf(endpoint.url, action)] });
    const answer = await api.expect(200, "POST", "/v1/workflows/saved/actions/tell/test", {
      record: contact("51", { ref: "A-1" }),
      event: { by: "phone" },
      outputs: { login: { id: 9 } },
    });

    const [arrival] = await endpoint.waitFor(1);
    assert.equal(endpoint.requests.length, 1);
    assert.equal(arrival.text, '{"ref":"A-1","by":"phone","id":9}');
    const { request, response, outputs, duration_ms: duration } = answer;
    assert.deepEqual([request.method, request.url, request.body], ["POST", arrival.url, arrival.text]);
    for (const [name, value] of Object.entries(request.http_headers)) assert.equal(arrival.headers[name], value, name);
    for (const name of ["webhook-id", "webhook-timestamp", "varde-attempt", "user-agent", "content-type", "x-hubspot-signature-v3"]) {
      assert.ok(request.http_headers[name], name);
    }
    assert.match(request.http_headers["webhook-id"], /^dlv_[0-9a-hjkmnp-tv-z]{26}$/);
    assert.equal(request.http_headers["varde-attempt"], "1");
    assert.deepEqual([response.status, response.headers["x-shop"], response.body], [201, "north", '{"order":{"id":7}}']);
    assert.deepEqual(outputs, { order: 7, colour: "grey" });
    assert.ok(Number.isInteger(duration) && duration >= 0);
    assert.deepEqual([answer.outcome, answer.verdict, answer.reason, answer.error], ["response", "delivered", undefined, undefined]);
  });

  it("enrolls nobody, stores nothing, and isn't tried again", async () => {
    const endpoint = receiver.endpoint("/traceless", 503);
    await api.workflow("traceless", oneAction(endpoint.url, {}, { shards: 2 }));
    const before = await api.stats("traceless");
    const answer = await api.expect(200, "POST", "/v1/workflows/traceless/actions/tell/test", { record: contact() });
    assert.deepEqual([answer.response.status, answer.verdict, answer.reason], [503, "retry", "http_503"]);
    assert.deepEqual(await api.stats("traceless"), before);
    assert.deepEqual(await api.deliveries("traceless"), []);
    assert.deepEqual(await api.all("/v1/workflows/traceless/enrollments"), []);
    // A retry would have come after 100 ms; a webhook that does come later shows that time went by.
    endpoint.replyWith(200);
    const { id } = await api.enroll("traceless", contact("2"));
    await api.settled("traceless", id, "delivered");
    assert.equal(endpoint.requests.length, 2, "the test, and the enrollment's delivery");
    assert.notEqual(endpoint.requests[0].headers["webhook-id"], endpoint.requests[1].headers["webhook-id"]);
  });

  it("leaves a 410 without consequences", async () => {
    const endpoint = receiver.endpoint("/gone", 410);
    await api.workflow("gone", oneAction(endpoint.url));
    const answer = await api.expect(200, "POST", "/v1/workflows/gone/actions/tell/test", { record: contact() });
    assert.deepEqual([answer.verdict, answer.reason], ["reject", "gone"]);
    endpoint.replyWith(200);
    const { id } = await api.enroll("gone", contact());
    await api.settled("gone", id, "delivered");
  });

  it("is told what it lacks", async () => {
    const endpoint = receiver.endpoint("/lacking");
    const query = [{ name: "id", value: { output: "login.id" } }];
    const login = { ...draftOf(endpoint.url), id: "login", outputs: [{ name: "id", pointer: "/id", type: "json" }] };
    await api.workflow("lacking", { ...oneAction(endpoint.url), actions: [login, draftOf(endpoint.url, { query })] });
    const test = "/v1/workflows/lacking/actions/tell/test";
    const problem = await api.refused(422, "POST", test, { record: contact() });
    assert.deepEqual([problem.code, problem.detail], ["missing_output", "output `login.id` is missing and has no default"]);
    await api.refused(404, "POST", "/v1/workflows/lacking/actions/nothing/test", { record: contact() });
    await api.refused(404, "POST", "/v1/workflows/nothing/actions/tell/test", { record: contact() });
    const mistaken = await api.refused(422, "POST", test, { record: { id: "1" }, event: 5, outputs: { "B C": {} }, action: {} });
    assert.deepEqual(pointers(mistaken), ["/action", "/event", "/outputs/B C", "/record/properties"]);
    await api.refused(415, "POST", test);
    assert.equal(endpoint.requests.length, 0);
  });

  it("needs the scope for everything", async () => {
    const endpoint = receiver.endpoint("/scoped");
    await api.workflow("scoped", oneAction(endpoint.url));
    for (const scope of ["read", "enroll"]) {
      const { token } = await api.done("POST", "/v1/tokens", { name: scope, scopes: [scope] });
      await api.as(token).refused(403, "POST", "/v1/workflows/scoped/actions/tell/test", { record: contact() });
      await api.as(token).refused(403, "POST", "/v1/test", { action: draftOf(endpoint.url), object_type: "contact", record: contact() });
    }
    assert.equal(endpoint.requests.length, 0);
  });
});

describe("a test of a draft", { concurrency: true }, () => {
  it("needs no workflow", async () => {
    const endpoint = receiver.endpoint("/draft", { headers: JSON_TYPE, body: '{"id":"x"}' });
    const action = draftOf(endpoint.url, { outputs: [{ name: "id", pointer: "/id", type: "string" }] });
    const answer = await tryDraft(action, { object_type: "deal" });
    assert.equal(JSON.parse(endpoint.requests[0].text).dealId, 51, "the body is that of the object type");
    assert.deepEqual(answer.outputs, { id: "x" });
    assert.deepEqual((await api.all("/v1/workflows")).filter(({ id }) => id === "draft"), []);
  });

  it("tells all mistakes at once", async () => {
    const problem = await api.refused(422, "POST", "/v1/test", { action: { id: "A", method: "PUSH" }, record: {}, colour: "blue" });
    assert.deepEqual(pointers(problem), [
      "/action/id", "/action/method", "/action/type", "/action/url", "/colour", "/object_type", "/record/id", "/record/properties",
    ]);
  });

  it("that can't be sent says why, and sends nothing", async () => {
    const endpoint = receiver.endpoint("/unsendable");
    await api.secret("unsendable-limited", "hunter2hunter2");
    await api.done("PUT", "/v1/secrets/unsendable-limited", { value: "hunter2hunter2", hosts: ["shop.example"] });
    await api.secret("unsendable-plain", "plain");
    for (const [action, code, pointer] of [
      [draftOf("https://10.0.0.1/"), "invalid_input", "/action/url"],
      [draftOf(`${receiver.origin}/{{ '..' }}/x`), "blocked_url"],
      [draftOf(endpoint.url, { headers: [{ name: "x-a", value: { output: "login.id" } }] }), "missing_output"],
      [draftOf(endpoint.url, { headers: [{ name: "x-a", value: { static: "a\nb" } }] }), "invalid_input", "/action/headers/0/value"],
      [draftOf(endpoint.url, { auth: { type: "bearer", secret: "no-such-secret" } }), "missing_secret"],
      [draftOf(endpoint.url, { auth: { type: "bearer", secret: "unsendable-limited" } }), "secret_host_not_allowed"],
      [draftOf(endpoint.url, { auth: { type: "standard_webhooks", secret: "unsendable-plain" } }), "invalid_secret"],
      [draftOf(endpoint.url, { body: { kind: "text", template: "{% for a in range(100000) %}{{ a }}{% endfor %}" } }), "template_failed"],
    ]) {
      const problem = await refusedDraft(action);
      assert.equal(problem.code, code, JSON.stringify(action));
      if (pointer) assert.deepEqual(pointers(problem), [pointer]);
      assert.ok(!JSON.stringify(problem).includes("hunter2"));
    }
    assert.equal(endpoint.requests.length, 0);
  });

  it("answers 200 when the endpoint doesn't", async () => {
    const hanging = receiver.endpoint("/hanging", { fault: "hang" });
    const dripping = receiver.endpoint("/dripping", { fault: "drip" });
    const closing = receiver.endpoint("/closing", { fault: "close" });
    const nobody = await freePort();
    for (const [url, outcome, error] of [
      [hanging.url, "timeout", /no full answer within the action's timeout/],
      [dripping.url, "timeout", /no full answer/],
      [closing.url, "connect", /no connection/],
      [`https://127.0.0.1:${nobody}/`, "connect", /no connection/],
    ]) {
      const answer = await tryDraft(draftOf(url, { timeout_ms: 1_000 }));
      assert.deepEqual([answer.outcome, answer.verdict, answer.reason, answer.response], [outcome, "retry", outcome, null], url);
      assert.match(answer.error, error);
      assert.deepEqual([answer.request.url, answer.outputs], [url, {}]);
      if (outcome === "timeout") assert.ok(answer.duration_ms >= 990, `${answer.duration_ms} ms`);
    }
  });

  it("shows a redirect and doesn't follow it", async () => {
    const there = receiver.endpoint("/there");
    const here = receiver.endpoint("/here", { status: 302, headers: { location: there.url } });
    const { response, verdict } = await tryDraft(draftOf(here.url));
    assert.deepEqual([response.status, response.headers.location, verdict], [302, there.url, "retry"]);
    assert.equal(there.requests.length, 0);
  });

  it("says when there are no outputs, and why", async () => {
    const outputs = [{ name: "id", pointer: "/id", type: "string" }];
    for (const [id, body, note] of [["list", "[1]", /must be a JSON object/], ["text", "hello", /isn't JSON/], ["empty", "", /isn't JSON/]]) {
      const endpoint = receiver.endpoint(`/no-outputs-${id}`, { body });
      const answer = await tryDraft(draftOf(endpoint.url, { outputs }));
      assert.deepEqual([answer.outputs, answer.response.body], [{}, body]);
      assert.match(answer.outputs_note, note);
    }
  });

  it("cuts a response of 5 MB", async () => {
    const body = Buffer.alloc(5 * 1024 * 1024, "x");
    body.write('{"id":"7"}');
    const endpoint = receiver.endpoint("/huge", { headers: JSON_TYPE, body });
    const answer = await tryDraft(draftOf(endpoint.url, { outputs: [{ name: "id", pointer: "/id", type: "string" }] }));
    const { status, body: shown, truncated } = answer.response;
    assert.deepEqual([status, shown.length, truncated, answer.verdict], [200, 16 * 1024, true, "delivered"]);
    assert.match(answer.outputs_note, /isn't JSON/);
  });

  it("survives a gzip bomb", async () => {
    const bomb = gzipSync(Buffer.alloc(300 * 1024 * 1024));
    assert.ok(bomb.length < 400_000, `${bomb.length} bytes on the wire`);
    const endpoint = receiver.endpoint("/bomb", { headers: { ...JSON_TYPE, "content-encoding": "gzip" }, body: bomb });
    const answer = await tryDraft(draftOf(endpoint.url, { timeout_ms: 20_000 }));
    assert.deepEqual([answer.outcome, answer.response.status, answer.response.truncated], ["response", 200, true]);
    assert.ok(answer.response.body.length <= 16 * 1024);
    const next = receiver.endpoint("/after-the-bomb");
    assert.equal((await tryDraft(draftOf(next.url))).response.status, 200, "and so does everybody else");
  });

  it("shows a JSON response 1,000 levels deep, and picks nothing from it", async () => {
    const body = `${'{"a":'.repeat(1_000)}1${"}".repeat(1_000)}`;
    const endpoint = receiver.endpoint("/deep", { headers: JSON_TYPE, body });
    const answer = await tryDraft(draftOf(endpoint.url, { outputs: [{ name: "a", pointer: "/a", type: "json" }] }));
    assert.deepEqual([answer.response.body, answer.outputs], [body, {}]);
    assert.ok(answer.outputs_note, "a note says why");
  });
});

describe("a key in a test", { concurrency: true }, () => {
  const key = "s3cr3t/key+with=signs";
  const forms = [key, encodeURIComponent(key), btoa(key), btoa(`ada:${key}`), btoa(key).slice(4, 20)];
  const echo = ({ url, headers }) => ({
    headers: { ...JSON_TYPE, "x-echo": headers.authorization ?? headers["x-api-key"] ?? url },
    body: JSON.stringify({ url, headers, key, encoded: encodeURIComponent(key), base64: btoa(key) }),
  });

  for (const [id, auth, masked] of [
    ["bearer", { type: "bearer" }, ({ http_headers: headers }) => headers.authorization === "Bearer ***"],
    ["basic", { type: "basic", username: "ada" }, ({ http_headers: headers }) => headers.authorization === "Basic ***"],
    ["in-header", { type: "api_key", location: "header", name: "X-Api-Key" }, ({ http_headers: headers }) => headers["x-api-key"] === "***"],
    ["in-query", { type: "api_key", location: "query", name: "the key" }, ({ url }) => url.endsWith("?the%20key=***")],
    ["signature", { type: "hubspot_signature" }, ({ http_headers: headers }) => headers["x-hubspot-signature"].length === 64],
  ]) {
    it(`is sent and not shown (${id})`, async () => {
      const endpoint = receiver.endpoint(`/key-${id}`, echo);
      await api.secret(`key-${id}`, key);
      const action = draftOf(endpoint.url, {
        auth: { ...auth, secret: `key-${id}` },
        body: { kind: "text", template: `copied by mistake: ${key}` },
        outputs: [{ name: "all", pointer: "", type: "json" }],
      });
      const answer = await tryDraft(action);
      const sent = JSON.stringify([endpoint.requests[0].url, endpoint.requests[0].headers]);
      if (id !== "signature") assert.ok(forms.some((form) => sent.includes(form)), `it was sent: ${sent}`);
      assert.ok(masked(answer.request), JSON.stringify(answer.request));
      assert.equal(answer.request.body, "copied by mistake: ***");
      assert.equal(answer.outputs.all.key, "***");
      const shown = JSON.stringify(answer);
      for (const form of forms) assert.ok(!shown.includes(form), `${form} is in ${shown}`);
      for (const form of forms) assert.ok(!runtime.output().includes(form), `${form} is in the log`);
    });
  }

  it("of two letters is hidden where it stands", async () => {
    const endpoint = receiver.endpoint("/short-key");
    await api.secret("short-key", "ab");
    const { request } = await tryDraft(draftOf(endpoint.url, { auth: { type: "bearer", secret: "short-key" } }));
    assert.equal(endpoint.requests[0].headers.authorization, "Bearer ab");
    assert.equal(request.http_headers.authorization, "Bearer ***");
  });
});

describe("the curl command of a test", { concurrency: true }, () => {
  const directory = mkdtempSync(path.join(tmpdir(), "varde-curl-"));
  after(() => rmSync(directory, { recursive: true }));
  const trusted = path.join(directory, "ca.pem");
  writeFileSync(trusted, authority.certificate);
  const missing = spawnSync("curl", ["--version"]).error !== undefined && "there is no curl here";

  /** Runs it in a shell, with the real curl; beside this process, in which the receiver lives. */
  async function run(command, env) {
    const script = `curl() { command curl --silent --show-error --cacert '${trusted}' "$@"; }\n${command}\n`;
    const shell = spawn("sh", { env: { PATH: process.env.PATH, ...env }, stdio: ["pipe", "ignore", "pipe"] });
    shell.stdin.end(script);
    const [said, [status]] = await Promise.all([text(shell.stderr), once(shell, "exit")]);
    assert.equal(status, 0, `${said}\n${command.slice(0, 2_000)}`);
  }

  const nasty = `it's "quoted" \`id\` $HOME $(id) \\ %s ø 🦊\nsecond line`;
  for (const [id, action, env] of [
    ["plain", { headers: [{ name: "x-nasty", value: { static: nasty.split("\n")[0].replace(/[^ -~]/g, "") } }] }, () => ({})],
    ["put", { method: "PUT", body: { kind: "text", template: "{{ properties.nasty }}" } }, () => ({})],
    ["zero-bytes", { body: { kind: "text", template: "a\u0000%\\{{ properties.nasty }}" } }, () => ({})],
    ["large", { body: { kind: "text", template: "{{ 'ø' * 200000 }}" } }, () => ({})],
    ["get", { method: "GET", query: [{ name: "q[]", value: { property: "nasty" } }] }, () => ({})],
    ["bearer", { auth: { type: "bearer" } }, ({ key }) => ({ CURL_BEARER_SECRET: key })],
    ["basic", { auth: { type: "basic", username: "o'neil" } }, ({ key }) => ({ CURL_BASIC_SECRET: key })],
    ["query", { auth: { type: "api_key", location: "query", name: "k k" } }, ({ key }) => ({ CURL_QUERY_SECRET: key })],
    [
      "standard",
      { auth: { type: "standard_webhooks" } },
      ({ arrival }) => ({ CURL_STANDARD_SIGNATURE: arrival.headers["webhook-signature"] }),
    ],
    [
      "hubspot",
      { auth: { type: "hubspot_signature" } },
      ({ arrival }) => ({
        CURL_HUBSPOT_SIGNATURE_V2: arrival.headers["x-hubspot-signature"],
        CURL_HUBSPOT_SIGNATURE_V3: arrival.headers["x-hubspot-signature-v3"],
      }),
    ],
  ]) {
    it(`sends the same request (${id})`, { skip: missing }, async () => {
      const endpoint = receiver.endpoint(`/curl-${id}`);
      const name = `curl-${id}`;
      const { value: key } = await api.done("PUT", `/v1/secrets/${name}`, { generate: "standard_webhooks" });
      const auth = action.auth && { auth: { ...action.auth, secret: name } };
      const answer = await tryDraft(draftOf(endpoint.url, { ...action, ...auth }), { record: contact("51", { nasty }) });
      const [arrival] = endpoint.requests;
      assert.ok(!answer.curl.includes(key), "it holds placeholders");
      await run(answer.curl, env({ key, arrival }));
      const [, again] = await endpoint.waitFor(2);
      assert.deepEqual(
        [again.method, new URL(again.url).searchParams.toString(), again.text],
        [arrival.method, new URL(arrival.url).searchParams.toString(), arrival.text],
      );
      for (const header of Object.keys(answer.request.http_headers)) {
        assert.equal(again.headers[header], arrival.headers[header], header);
      }
    });
  }
});

/** A port that nobody listens on. */
async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
