/**
 * The tests' own parts, tried where they could lie: a receiver that alters a byte, a wait that ends too
 * early, a kill that leaves a process behind, would make every story above them worthless.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";

import { Api, assertBooksBalance } from "./api.mjs";
import { makeAuthority } from "./ca.mjs";
import { Receiver } from "./receiver.mjs";
import { Runtime, groupIsAlive } from "./runtime.mjs";
import { until } from "./wait.mjs";

/** A Worker of a few lines: an object that counts and has an alarm, and a fetch to wherever it is told. */
const STANDIN = `
import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/alarm") await this.ctx.storage.setAlarm(Date.now() + 1500);
    const before = (await this.ctx.storage.get("n")) ?? 0;
    if (pathname === "/add") await this.ctx.storage.put("n", before + 1);
    return Response.json({ n: await this.ctx.storage.get("n") ?? 0, alarms: await this.ctx.storage.get("alarms") ?? 0 });
  }
  async alarm() {
    await this.ctx.storage.put("alarms", ((await this.ctx.storage.get("alarms")) ?? 0) + 1);
  }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/healthz") return Response.json({ status: "ok" });
    if (url.pathname === "/env") return Response.json({ ...env, COUNTER: undefined });
    if (url.pathname === "/fetch") {
      try {
        const answer = await fetch(url.searchParams.get("url"));
        return Response.json({ status: answer.status, body: await answer.text() });
      } catch (error) {
        return Response.json({ error: String(error) });
      }
    }
    return env.COUNTER.getByName("one").fetch(request);
  },
};
`;

const STANDIN_CONFIG = `
name = "standin"
main = "worker.mjs"
compatibility_date = "2026-01-01"
[[durable_objects.bindings]]
name = "COUNTER"
class_name = "Counter"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]
`;

let authority;
let directory;
let config;

before(async () => {
  authority = await makeAuthority();
  directory = mkdtempSync(path.join(tmpdir(), "varde-standin-"));
  config = path.join(directory, "wrangler.toml");
  writeFileSync(path.join(directory, "worker.mjs"), STANDIN);
  writeFileSync(config, STANDIN_CONFIG);
});

after(() => rmSync(directory, { recursive: true, force: true }));

/** One request to a receiver with a client that trusts an authority; rejects when the connection is dropped. */
function send(url, { method = "GET", headers = {}, body, ca = authority.certificate, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers, ca, agent: false, signal }, async (response) => {
      try {
        const chunks = [];
        for await (const chunk of response) chunks.push(chunk);
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() });
      } catch (error) {
        reject(error);
      }
    });
    request.on("error", reject);
    request.end(body);
  });
}

describe("the authority", () => {
  it("is trusted for both names of loopback, and another one is not", async (t) => {
    const receiver = await Receiver.start(authority.leaf);
    t.after(() => receiver.stop());
    receiver.endpoint("/");
    const { port } = new URL(receiver.origin);
    assert.equal((await send(`https://127.0.0.1:${port}/`)).status, 200);
    assert.equal((await send(`https://localhost:${port}/`)).status, 200);
    const stranger = await makeAuthority("A stranger");
    await assert.rejects(send(receiver.origin, { ca: stranger.certificate }), { code: /CERT|SIGNATURE/ });
  });
});

describe("the receiver", () => {
  let receiver;
  before(async () => {
    receiver = await Receiver.start(authority.leaf);
  });
  after(() => receiver.stop());

  it("answers by the script, and with its last reply from then on", async () => {
    const endpoint = receiver.endpoint("/script", 503, { status: 429, headers: { "retry-after": "7" }, body: "slow" }, 201);
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await send(endpoint.url));
    assert.deepEqual(answers.map((one) => one.status), [503, 429, 201, 201]);
    assert.equal(answers[1].headers["retry-after"], "7");
    assert.equal(answers[1].body, "slow");
    assert.deepEqual(endpoint.requests.map(({ answered }) => answered), [503, 429, 201, 201]);
  });

  it("lets a function answer, which sees the request", async () => {
    const endpoint = receiver.endpoint("/function", (request, index) => ({ body: `${index} ${request.text}` }));
    await send(endpoint.url, { method: "POST", body: "a" });
    assert.equal((await send(endpoint.url, { method: "POST", body: "b" })).body, "1 b");
  });

  it("keeps body, target and headers to the byte", async () => {
    const endpoint = receiver.endpoint("/a%2Fb");
    const body = Buffer.from([0, 255, 10, 13, 0xc3, 0x28]);
    const before = Date.now();
    await send(`${endpoint.url}?x=%20+%c3&&y`, { method: "PUT", body, headers: { "X-Mixed": "Case" } });
    const [seen] = endpoint.requests;
    assert.deepEqual(seen.body, body);
    assert.equal(seen.method, "PUT");
    assert.equal(seen.target, "/a%2Fb?x=%20+%c3&&y");
    assert.equal(seen.url, `${endpoint.url}?x=%20+%c3&&y`);
    assert.equal(seen.headers["x-mixed"], "Case");
    assert.ok(seen.rawHeaders.includes("X-Mixed"));
    assert.ok(before <= seen.at && seen.at <= seen.answeredAt && seen.answeredAt <= Date.now());
    assert.equal(seen.cut, false);
  });

  it("keeps what came to a path that nobody opened", async () => {
    assert.equal((await send(`${receiver.origin}/nowhere`)).status, 404);
    assert.deepEqual(receiver.strays.map((one) => one.target), ["/nowhere"]);
  });

  it("wakes who waits at the awaited request, not before", async () => {
    const endpoint = receiver.endpoint("/wait");
    let awake = false;
    const waiting = endpoint.waitFor(2).then((requests) => {
      awake = true;
      return requests;
    });
    await send(endpoint.url);
    assert.equal(awake, false);
    await send(endpoint.url);
    assert.equal((await waiting).length, 2);
  });

  it("gives up waiting, and says what it saw", async () => {
    const endpoint = receiver.endpoint("/quiet");
    await send(endpoint.url);
    await assert.rejects(endpoint.waitFor(2, 20), /expected 2 requests at \/quiet within 20 ms, found 1/);
    await assert.rejects(endpoint.waitForHeld(1, 20), /expected 1 held requests/);
  });

  it("never answers when told to hang, and notes that the sender went away", async () => {
    const endpoint = receiver.endpoint("/hang", { fault: "hang" });
    const patience = new AbortController();
    const sending = send(endpoint.url, { signal: patience.signal });
    const [seen] = await endpoint.waitFor(1);
    assert.equal(seen.answeredAt, undefined);
    patience.abort();
    await assert.rejects(sending);
    await until("the cut to be noted", () => seen.cut);
  });

  it("holds requests until they are released", async () => {
    const endpoint = receiver.endpoint("/hold", { fault: "hold" });
    const sending = [1, 2, 3].map((n) => send(endpoint.url, { method: "POST", body: `${n}` }));
    await endpoint.waitForHeld(3);
    endpoint.release({ status: 201 }, 1);
    assert.equal((await Promise.any(sending)).status, 201);
    assert.equal(endpoint.held.length, 2);
    endpoint.release(202);
    assert.deepEqual((await Promise.all(sending)).map((one) => one.status).sort(), [201, 202, 202]);
  });

  it("drops the connection when told to", async () => {
    const endpoint = receiver.endpoint("/close", { fault: "close" });
    await assert.rejects(send(endpoint.url), { code: "ECONNRESET" });
  });

  it("drips a body that never ends", async () => {
    const endpoint = receiver.endpoint("/drip", { fault: "drip" });
    const patience = new AbortController();
    let dripped = 0;
    const request = https.get(endpoint.url, { ca: authority.certificate, agent: false, signal: patience.signal });
    request.on("error", () => {});
    const [response] = await once(request, "response");
    response.on("data", (chunk) => (dripped += chunk.length)).on("error", () => {});
    await until("three drops", () => dripped >= 3);
    patience.abort();
    await until("the cut to be noted", () => endpoint.requests[0].cut);
  });

  it("waits before it answers", async () => {
    const endpoint = receiver.endpoint("/delay", { delayMs: 60, status: 204 });
    assert.equal((await send(endpoint.url)).status, 204);
    const [seen] = endpoint.requests;
    assert.ok(seen.answeredAt - seen.at >= 59, `${seen.answeredAt - seen.at}`);
  });
});

describe("the API client", () => {
  /** Serves one answer to whatever comes. */
  async function serving(t, status, headers, body) {
    const server = http.createServer((_, response) => response.writeHead(status, headers).end(body)).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => server.close());
    return new Api({ url: `http://127.0.0.1:${server.address().port}`, adminToken: "t" });
  }
  const problem = { type: "about:blank", title: "Gone", status: 404, detail: "no such thing", code: "not_found" };
  const json = { "content-type": "application/problem+json" };

  it("accepts a whole problem", async (t) => {
    const api = await serving(t, 404, json, JSON.stringify({ ...problem, errors: [{ pointer: "/a", message: "no" }] }));
    assert.equal((await api.refused(404, "GET", "/")).code, "not_found");
  });

  for (const [what, headers, body] of [
    ["plain text", { "content-type": "text/plain" }, "no"],
    ["plain JSON", { "content-type": "application/json" }, JSON.stringify(problem)],
    ...Object.keys(problem).map((field) => [`a problem without ${field}`, json, JSON.stringify({ ...problem, [field]: undefined })]),
    ["another status inside", json, JSON.stringify({ ...problem, status: 400 })],
    ["no errors in a list", json, JSON.stringify({ ...problem, errors: [] })],
    ["a pointer that is none", json, JSON.stringify({ ...problem, errors: [{ pointer: "a", message: "no" }] })],
  ]) {
    it(`does not accept ${what} as an error`, async (t) => {
      const api = await serving(t, 404, headers, body);
      await assert.rejects(api.refused(404, "GET", "/"), assert.AssertionError);
    });
  }

  it("does not accept another status than the expected one", async (t) => {
    const api = await serving(t, 404, json, JSON.stringify(problem));
    await assert.rejects(api.get("/"), assert.AssertionError);
    await assert.rejects(api.done("GET", "/"), assert.AssertionError);
    await assert.rejects(api.refused(409, "GET", "/"), assert.AssertionError);
  });

  it("sees books that don't balance", () => {
    const balanced = { accepted: 6, delivered: 1, rejected: 1, exhausted: 1, canceled: 1, open: 2 };
    assertBooksBalance({ ...balanced, actions: { a: balanced } });
    for (const wrong of [
      { ...balanced, open: 3, actions: { a: balanced } },
      { ...balanced, actions: { a: { ...balanced, accepted: 7 } } },
      { ...balanced, actions: { a: balanced, b: balanced } },
      { ...balanced, canceled: undefined, actions: { a: balanced } },
    ]) {
      assert.throws(() => assertBooksBalance(wrong), assert.AssertionError);
    }
  });
});

describe("the runtime", { concurrency: true }, () => {
  it("gives the Worker its settings and nothing of this machine's", async (t) => {
    const runtime = await Runtime.start({ config, variables: { EXTRA: "a=b#c" } });
    t.after(() => runtime.stop());
    const env = await (await fetch(`${runtime.url}/env`)).json();
    assert.equal(env.VARDE_ADMIN_TOKEN, runtime.adminToken);
    assert.equal(Buffer.from(env.VARDE_MASTER_KEY, "base64").length, 32);
    assert.equal(env.VARDE_DEV_ALLOW_LOOPBACK, "true");
    assert.equal(env.EXTRA, "a=b#c");
    assert.match(runtime.output(), /Ready on/);
    t.diagnostic(`started in ${runtime.startMs} ms`);
  });

  it("lets the Worker reach a receiver by the test's authority only", async (t) => {
    const receiver = await Receiver.start(authority.leaf);
    const stranger = await Receiver.start((await makeAuthority("A stranger")).leaf);
    t.after(() => Promise.all([receiver.stop(), stranger.stop()]));
    const runtime = await Runtime.start({ config, authority: authority.certificate });
    t.after(() => runtime.stop());
    const reach = async (url) => (await fetch(`${runtime.url}/fetch?url=${encodeURIComponent(url)}`)).json();

    const closed = stranger.endpoint("/");
    assert.deepEqual(await reach(receiver.endpoint("/", { status: 203, body: "hello" }).url), { status: 203, body: "hello" });
    assert.match((await reach(closed.url)).error, /./);
    assert.deepEqual(closed.requests, []);
  });

  it("keeps rows and alarms over a kill -9, and leaves no process", async (t) => {
    const runtime = await Runtime.start({ config });
    t.after(() => runtime.stop());
    const count = async (path) => (await fetch(runtime.url + path)).json();
    await count("/add");
    await count("/add");
    await count("/alarm");
    const group = runtime.group;
    assert.ok(groupIsAlive(group));

    await runtime.kill9();
    assert.equal(groupIsAlive(group), false);
    await assert.rejects(fetch(runtime.url));

    await runtime.restart();
    assert.notEqual(runtime.group, group);
    assert.equal((await count("/")).n, 2);
    await until("the alarm", async () => (await count("/")).alarms === 1);
  });

  it("ends with the process that started it, even one that is killed", async () => {
    const script = `
      import { Runtime } from ${JSON.stringify(new URL("./runtime.mjs", import.meta.url).href)};
      const runtime = await Runtime.start({ config: process.argv[1] });
      console.log(runtime.group);
      setInterval(() => {}, 1000);`;
    // Its directory is lost with it, so it gets one that is cleaned with the rest.
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, config], { env: { ...process.env, TMPDIR: directory } });
    const [line] = await once(child.stdout, "data");
    const group = Number(line);
    assert.ok(groupIsAlive(group));
    child.kill("SIGKILL");
    await until("the orphaned runtime to end", () => !groupIsAlive(group));
  });

  it("says why it did not start", async () => {
    const broken = path.join(directory, "broken.toml");
    writeFileSync(broken, `name = "broken"\nmain = "missing.mjs"\ncompatibility_date = "2026-01-01"\n`);
    await assert.rejects(Runtime.start({ config: broken }), /ended before it was ready[^]*missing\.mjs/);
  });
});
