/** Who gets in: nobody by guessing, by another site's page, by the sender's way, or by a request inside a request. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { Api } from "./support/api.mjs";
import { calls } from "./support/openapi.mjs";
import { routes } from "./support/router.mjs";
import { Runtime } from "./support/runtime.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver, runtime } = await stage();
const root = fileURLToPath(new URL("../../", import.meta.url));

const filled = (path) => path.replace(/\{[^}]*\}/g, "none-such");

/** What anybody may call. Whatever else there is asks for a token. */
const OPEN = ["GET /healthz", "HEAD /healthz", "POST /t/{}", "* /inspect/{}/**", "* /__testing/**"];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const ROUTES = routes().map((route) => ({ ...route, pattern: `/${route.parts.join("/")}` }));
const pathOf = (pattern) => pattern.replaceAll("{}", "none-such").replace("/**", "");

describe("every route of the code", () => {
  const guarded = ROUTES.filter(({ method, pattern }) => !OPEN.includes(`${method} ${pattern}`));
  const ask = (who, method, path) => who.call(method, path, method === "GET" ? {} : { json: {} });

  it("asks for a token, but for those that anybody may call", async () => {
    assert.ok(guarded.length > 35, String(guarded.length));
    assert.deepEqual(OPEN.filter((one) => !ROUTES.some(({ method, pattern }) => `${method} ${pattern}` === one)), []);
    for (const { method, pattern } of guarded) {
      const none = await ask(api.as(null), method, pathOf(pattern));
      assert.deepEqual([none.status, none.body.code], [401, "unauthorized"], `${method} ${pattern}`);
      for (const token of ["wrong", `vrd_${"0".repeat(64)}`, runtime.adminToken.slice(0, -1), `${runtime.adminToken}x`, runtime.adminToken.toUpperCase()]) {
        const wrong = await ask(api.as(token), method, pathOf(pattern));
        assert.deepEqual([wrong.status, wrong.body], [401, none.body], `${method} ${pattern} with ${token.length} characters`);
      }
    }
  });

  it("refuses a scope that is too small, and takes the one that it asks for", async () => {
    const holders = new Map([["admin", api]]);
    for (const scope of ["read", "enroll"]) {
      holders.set(scope, api.as((await api.expect(201, "POST", "/v1/tokens", { scopes: [scope] })).token));
    }
    for (const { method, pattern } of guarded) {
      // Who may call what is said by the description, which is written apart from the router.
      const described = calls.find((one) => one.method === method && one.path.replace(/\{[^}]*\}/g, "{}") === pattern);
      assert.ok(described, `${method} ${pattern} is described`);
      for (const [scope, who] of holders) {
        const answer = await ask(who, method, pathOf(pattern));
        const enough = scope === "admin" || described.call["x-scope"] === scope;
        assert.equal(answer.status === 403, !enough, `${method} ${pattern} with ${scope}: ${answer.text}`);
        if (!enough) assert.equal(answer.body.code, "forbidden");
        assert.ok(answer.status !== 401 && answer.body?.code !== "no_such_call", `${method} ${pattern}: ${answer.text}`);
      }
    }
  });

  it("is the only one there: another method or path asks for a token like any, and isn't there", async () => {
    const paths = new Set(guarded.map(({ pattern }) => pattern));
    for (const path of ["/v1/none-such", "/v1", "/v1/workflows/none-such/none-such", "/v1/workflows/none-such/triggers/none-such/none-such", "/v1/tokens/none-such/none-such", "/metrics/none-such"]) paths.add(path);
    const matchers = ROUTES.map(({ method, pattern }) => ({ method, matches: new RegExp(`^${pattern.replaceAll("{}", "[^/]+").replace("/**", "(/.*)?")}$`) }));
    const isRoute = (asked, path) => matchers.some(({ method, matches }) => method === asked && matches.test(path));
    let asked = 0;
    for (const pattern of paths) {
      for (const method of METHODS.filter((one) => !isRoute(one, pathOf(pattern)))) {
        const tell = async (token) => {
          const headers = { ...(token && { authorization: `Bearer ${token}` }) };
          const answer = await fetch(runtime.url + pathOf(pattern), { method, headers });
          return { status: answer.status, body: await answer.text() };
        };
        const said = `${method} ${pattern}`;
        const none = await tell();
        assert.deepEqual([none.status, await tell("wrong")], [401, none], said);
        const admin = await tell(runtime.adminToken);
        assert.equal(admin.status, 404, said);
        if (method !== "HEAD") assert.equal(JSON.parse(admin.body).code, "no_such_call", said);
        asked += 1;
      }
    }
    assert.ok(asked > 120, String(asked));
  });

  it("isn't got round by another spelling of its path", async () => {
    for (const { pattern } of guarded.filter(({ method }) => method === "GET")) {
      const path = pathOf(pattern);
      for (const spelled of [`${path}/`, `/${path}`, path.replace("/v1", "/v1/"), path.replace("/v1", "/V1"), path.replace("/v1", "/%761"), path.replace("/v1", "/x/../v1"), `${path};x`, `${path}%00`, `${path}/..${path}`, `${path}?token=${"x".repeat(64)}`, path.toUpperCase()]) {
        const answer = await fetch(runtime.url + spelled, { redirect: "manual" });
        const text = await answer.text();
        // Beside the API are the pages, which hold nothing.
        assert.ok([401, 404].includes(answer.status) || /^<!doctype html/i.test(text), `${spelled} answered ${answer.status}: ${text.slice(0, 200)}`);
      }
    }
  });
});

describe("the health", () => {
  it("is told to HEAD as to GET, without a body", async () => {
    const [get, head] = await Promise.all(["GET", "HEAD"].map((method) => fetch(`${runtime.url}/healthz`, { method })));
    assert.deepEqual([get.status, head.status], [200, 200]);
    assert.equal(head.headers.get("content-type"), get.headers.get("content-type"));
    assert.deepEqual([(await get.json()).status, await head.text()], ["ok", ""]);
  });
});

describe("every call", () => {
  it("is closed to other sites' pages: no answer allows an origin, a method or a header", async () => {
    const origin = { origin: "https://evil.example" };
    const preflight = { ...origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type" };
    for (const { method, path } of [...calls, { method: "GET", path: "/" }, { method: "GET", path: "/openapi.json" }]) {
      const url = runtime.url + filled(path);
      const authorization = `Bearer ${runtime.adminToken}`;
      for (const [how, headers] of [["OPTIONS", preflight], [method, { ...origin, authorization }]]) {
        const answer = await fetch(url, { method: how, headers, redirect: "manual" });
        await answer.arrayBuffer();
        const allowed = [...answer.headers.keys()].filter((name) => name.startsWith("access-control-"));
        assert.deepEqual(allowed, [], `${how} ${path}`);
        if (how === "OPTIONS" && path.startsWith("/v1/")) assert.ok(answer.status >= 400, `${how} ${path} answered ${answer.status}`);
      }
    }
  });
});

describe("the sender", () => {
  it("takes no work from outside, whatever a request says it is", async () => {
    const prey = receiver.endpoint("/prey");
    await api.workflow("prey", oneAction(prey.url));
    const delivery = "dlv_01m86wjvh50b7k5rb82r7z8k4p";
    // What an alarm hands over, to the letter but for the id.
    const work = { send: { ticket: { delivery, lease: 1, attempt: 1 }, action: "tell", terms: { auth: { type: "none" }, timeout_ms: 5_000, retry: {} }, request: { method: "POST", url: prey.url, headers: [], body: "x" } } };
    const body = JSON.stringify({ home: { workflow: "prey", uid: "u", shard: 0 }, work: [work] });
    const headers = [
      {},
      { "varde-entrypoint": "sender", VARDE_ENTRYPOINT: "sender", "x-varde-entrypoint": "sender" },
      { "cf-worker-entrypoint": "Sender", "cf-entrypoint": "Sender", "mf-entrypoint": "Sender", "MF-Route-Override": "varde:Sender" },
      { "x-forwarded-host": "varde.internal", forwarded: "host=varde.internal", "x-original-url": "https://varde.internal/" },
    ];
    for (const more of headers) {
      for (const target of ["/", "/Sender", "/sender", "/v1/../Sender", "/?VARDE_ENTRYPOINT=sender", "/v1/sender", "/varde.internal/", "//varde.internal/"]) {
        const answer = await fetch(runtime.url + target, { method: "POST", headers: { "content-type": "application/json", ...more }, body });
        await answer.arrayBuffer();
        assert.ok(answer.status >= 400, `POST ${target} answered ${answer.status}`);
      }
      for (const host of ["varde.internal", "sender.varde.internal", "Sender"]) {
        const { statuses } = await raw(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
        assert.ok(statuses.length > 0 && statuses.every((status) => status >= 400), `Host: ${host} answered ${statuses}`);
      }
    }
    assert.equal(prey.requests.length, 0, "nothing was sent");
  });
});

describe("a request inside a request", () => {
  const admin = () => `Authorization: Bearer ${runtime.adminToken}\r\n`;
  const hidden = () => `PUT /v1/secrets/smuggled HTTP/1.1\r\nHost: x\r\n${admin()}Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{"value":"v"}`;

  it("isn't seen as one: lengths that contradict each other are refused, or read one way by everybody", async () => {
    const chunked = (inner) => `0\r\n\r\n${inner}`;
    const openings = {
      "two lengths": (inner) => `POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: ${4 + inner.length}\r\n\r\nabcd${inner}`,
      "a list of lengths": (inner) => `POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 4, ${4 + inner.length}\r\n\r\nabcd${inner}`,
      "a length and chunks": (inner) => `POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: ${chunked(inner).length}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(inner)}`,
      "chunks that are spelled oddly": (inner) => `POST /v1/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\nContent-Length: ${chunked(inner).length}\r\n\r\n${chunked(inner)}`,
      "chunks twice": (inner) => `POST /v1/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: ${chunked(inner).length}\r\n\r\n${chunked(inner)}`,
      "a space before the colon": (inner) => `POST /v1/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\nContent-Length: ${chunked(inner).length}\r\n\r\n${chunked(inner)}`,
      "a length that is no number": (inner) => `POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: +${inner.length}\r\n\r\n${inner}`,
      "a body of a GET": (inner) => `GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
    };
    const seen = {};
    for (const [what, opening] of Object.entries(openings)) {
      const { statuses } = await raw(opening(hidden()));
      seen[what] = statuses;
      const stored = (await api.all("/v1/secrets")).some(({ name }) => name === "smuggled");
      assert.ok(!stored, `${what}: ${statuses}`);
    }
    assert.deepEqual(seen["a body of a GET"].slice(0, 1), [200]);
    assert.equal(seen["a body of a GET"].length, 1, "a body is a body");
  });

  it("in a header's value stays a value", async () => {
    for (const value of ["x\r\nAuthorization: Bearer y", "x\ny", "x\0y"]) {
      const definition = oneAction("https://good.example/", { headers: [{ name: "X-A", value: { static: value } }] });
      const saved = await api.call("PUT", "/v1/workflows/injected", { json: definition });
      assert.equal(saved.status, 422, JSON.stringify(value));
    }
    const endpoint = receiver.endpoint("/injected");
    await api.workflow("injected", oneAction(endpoint.url, { headers: [{ name: "X-A", value: { property: "a" } }] }));
    const { id } = await api.enroll("injected", contact("1", { a: "x\r\nX-Injected: y" }));
    await api.ended("injected", id);
    for (const { headers } of endpoint.requests) assert.equal(headers["x-injected"], undefined);
  });
});

describe("guessing tokens", () => {
  it("is slowed where there is a limiter, and stops nobody who was at work", async () => {
    const config = limitedConfig(5);
    const limited = await Runtime.start({ config });
    after(() => limited.stop());
    const admin = new Api(limited);
    const { token } = await admin.done("POST", "/v1/tokens", { name: "at work", scope: "read" });
    const { token: late } = await admin.done("POST", "/v1/tokens", { name: "late", scope: "read" });
    const worker = admin.as(token);
    await worker.get("/v1/workflows");

    const statuses = [];
    let refused;
    for (let n = 0; n < 12; n += 1) {
      const answer = await admin.as(`vrd_${String(n).padStart(64, "0")}`).call("GET", "/v1/workflows");
      statuses.push(answer.status);
      if (answer.status === 429) refused = answer;
    }
    assert.ok(statuses.includes(401) && statuses.at(-1) === 429, statuses.join());
    assert.equal(refused.body.code, "too_many_wrong_tokens");
    const wait = Number(refused.headers.get("retry-after"));
    assert.ok(wait >= 1 && wait <= 60, String(wait));
    // A right one that wasn't seen before is as good as a guess now; those that were at work go on.
    const guess = await admin.as(late).call("GET", "/v1/workflows");
    assert.deepEqual([guess.status, guess.body.code], [429, "too_many_wrong_tokens"]);
    await worker.get("/v1/workflows");
    await admin.get("/v1/workflows");
    // No token is no guess.
    await admin.as(null).refused(401, "GET", "/v1/workflows");
  });
});

/** The Worker of the tests with its limiter back, by paths that hold from anywhere. */
function limitedConfig(limit) {
  const folder = mkdtempSync(path.join(tmpdir(), "varde-e2e-limited-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const released = readFileSync(path.join(root, "wrangler.toml"), "utf8");
  const block = /^\[\[ratelimits\]\]\n(?:.+\n)+/m.exec(released)?.[0];
  assert.match(block ?? "", /^name = "TOKEN_GUESSES"$/m, "the released Worker has the limiter");
  const testing = readFileSync(path.join(root, "wrangler.testing.toml"), "utf8");
  assert.doesNotMatch(testing, /TOKEN_GUESSES/);
  const file = path.join(folder, "wrangler.toml");
  const absolute = `${testing}\n${block.replace(/limit = \d+/, `limit = ${limit}`)}`.replace(/"(?:\.\/)?((?:src|build-testing|www)\/[^"*]*)"/g, (_, relative) => JSON.stringify(path.join(root, relative)));
  writeFileSync(file, absolute);
  return file;
}

/** Sends bytes, and gives the statuses of what came back. */
async function raw(bytes) {
  const { hostname, port } = new URL(runtime.url);
  const socket = net.connect(Number(port), hostname);
  await once(socket, "connect");
  let text = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk) => (text += chunk));
  socket.on("error", () => {});
  socket.write(bytes);
  // Long enough for a second answer, if there were one.
  socket.setTimeout(1_500, () => socket.destroy());
  await once(socket, "close");
  return { text, statuses: [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status)) };
}
