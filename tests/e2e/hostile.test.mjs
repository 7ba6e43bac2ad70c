/**
 * Endpoints that do their worst, on bare sockets, since no HTTP server would. Each attempt ends with the
 * outcome that it was, the webhook is tried again or settled, the others don't notice, and memory stays bounded.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { after, describe, it } from "node:test";
import tls from "node:tls";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { Receiver } from "./support/receiver.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime, authority } = await stage();

const MB = 1024 * 1024;
/** For attempts that take all their time, and for those that shall have enough. */
const TIMEOUT_MS = 2_000;
const PLENTY_MS = 20_000;
/** What is left of a 100 MB body may fill the buffers on its way, but no more. */
const ON_THE_WAY = 32 * MB;
/**
 * What all of this at once may cost in a process that had 250 MB before: 60 to 115 MB were seen, and one body
 * that isn't cut is 100 or 300.
 */
const MEMORY = 192 * MB;

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const head = (...lines) => `HTTP/1.1 ${lines.join("\r\n")}\r\n\r\n`;

/** Writes a buffer again and again until `total` bytes are out or the other side has had enough. */
async function pour(socket, buffer, total) {
  for (let sent = 0; sent < total && !socket.destroyed; sent += buffer.length) {
    if (socket.write(buffer)) continue;
    await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => socket.destroy());
  }
}

/** Writes something every second, for as long as somebody listens. */
function drip(socket, text) {
  const timer = setInterval(() => socket.write(text), 1_000);
  socket.once("close", () => clearInterval(timer));
}

/** 300 MB of zeros. */
const bomb = await promisify(gzip)(Buffer.alloc(300 * MB));

/**
 * What is done to the first attempt, and what that is to be: an outcome, and the verdict with the status where
 * there was a response. The second attempt is answered with 200.
 *
 * @type {Record<string, { misbehave: (socket: import("node:tls").TLSSocket) => unknown, is: string, status?: number, truncated?: boolean, cut?: number }>}
 */
const HOSTILE = {
  "drips a body, a byte a second": {
    misbehave: (socket) => (socket.write(head("200 OK", "content-length: 1000")), drip(socket, ".")),
    is: "timeout",
  },
  "drips a head, a byte a second": { misbehave: (socket) => drip(socket, "H"), is: "timeout" },
  "answers after the deadline": {
    misbehave: (socket) => setTimeout(() => socket.destroyed || socket.write(OK), TIMEOUT_MS + 1_500),
    is: "timeout",
  },
  "says nothing": { misbehave: () => {}, is: "timeout" },
  "sends 100 MB": {
    misbehave: (socket) => (socket.write(head("200 OK", `content-length: ${100 * MB}`)), pour(socket, Buffer.alloc(MB / 4, "x"), 100 * MB)),
    is: "response",
    status: 200,
    truncated: true,
    cut: ON_THE_WAY,
  },
  "sends chunks without end": {
    misbehave: (socket) => (socket.write(head("503 Later", "transfer-encoding: chunked")), pour(socket, Buffer.from(`10000\r\n${"y".repeat(0x10000)}\r\n`), Infinity)),
    is: "response",
    status: 503,
    truncated: true,
    cut: ON_THE_WAY,
  },
  "sends a gzip bomb": {
    misbehave: (socket) => (socket.write(head("200 OK", "content-encoding: gzip", `content-length: ${bomb.length}`)), socket.end(bomb)),
    is: "response",
    status: 200,
    truncated: true,
  },
  "sends a header of 1 MB": {
    misbehave: (socket) => socket.end(head("200 OK", "content-length: 0", `x-huge: ${"h".repeat(MB)}`)),
    is: "connect",
  },
  "closes in the middle of the body": {
    misbehave: (socket) => socket.write(`${head("200 OK", "content-length: 1000")}half`, () => socket.destroy()),
    is: "connect",
  },
  "ends in the middle of the body": { misbehave: (socket) => socket.end(`${head("200 OK", "content-length: 1000")}half`), is: "connect" },
  "ends in the middle of a chunk": {
    misbehave: (socket) => socket.end(`${head("200 OK", "transfer-encoding: chunked")}ffff\r\nhalf`),
    is: "connect",
  },
  "closes in the middle of the head": { misbehave: (socket) => socket.write("HTTP/1.1 200 OK\r\nconte", () => socket.destroy()), is: "connect" },
  "closes without a word": { misbehave: (socket) => socket.destroy(), is: "connect" },
  "answers garbage": { misbehave: (socket) => socket.end("\u0000\u0001\u0002 what?\r\n\r\n"), is: "connect" },
  "answers as another protocol": { misbehave: (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"), is: "connect" },
  "answers with a status that is none": { misbehave: (socket) => socket.end(head("abc OK", "content-length: 0")), is: "connect" },
  "answers with a length that is none": { misbehave: (socket) => socket.end(`${head("200 OK", "content-length: -5")}hello`), is: "connect" },
};

/** Attempts of each endpoint so far, and what the first one's socket saw. */
const seen = new Map();

const hostile = tls.createServer(authority.leaf, (socket) => {
  socket.on("error", () => {});
  let request = "";
  socket.on("data", (chunk) => {
    request += chunk.toString("latin1");
    const end = request.indexOf("\r\n\r\n");
    const length = Number(/^content-length: (\d+)/im.exec(request)?.[1] ?? 0);
    if (end < 0 || request.length < end + 4 + length) return;
    const name = decodeURIComponent(request.slice(request.indexOf("/") + 1, request.indexOf(" HTTP/")));
    const ids = seen.get(name)?.ids ?? [];
    ids.push(/^webhook-id: (.*)\r$/im.exec(request)?.[1]);
    request = "";
    if (ids.length > 1) {
      socket.write(OK);
    } else {
      seen.set(name, { ids, socket });
      HOSTILE[name].misbehave(socket);
    }
  });
});
hostile.on("tlsClientError", () => {});
hostile.listen(0, "127.0.0.1");
await once(hostile, "listening");
after(() => hostile.close());
const origin = `https://127.0.0.1:${hostile.address().port}`;

/** The runtime's processes, wrangler apart. */
const workerds = () =>
  spawnSync("ps", ["-A", "-o", "pgid=,pid=,comm="], { encoding: "utf8" })
    .stdout.split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([group, , command]) => Number(group) === runtime.group && command?.startsWith("workerd"))
    .map(([, pid]) => pid);

/** Sums a line of their `/proc/…/status`, in bytes. */
const memory = (field) =>
  workerds().reduce((sum, pid) => sum + 1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]), 0);

const slugOf = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, "-");

describe("an endpoint that", { concurrency: true }, async () => {
  const measurable = existsSync("/proc/self/status");
  let before = 0;
  const begun = Promise.withResolvers();
  let ends = 0;

  it("behaves gets its webhooks at once, whatever the others do", async () => {
    const endpoint = receiver.endpoint("/behaves");
    await api.workflow("behaves", oneAction(endpoint.url));
    await api.enroll("behaves", contact("warm"));
    await api.drained("behaves");
    if (measurable) {
      // Forgets how high it was.
      for (const pid of workerds()) writeFileSync(`/proc/${pid}/clear_refs`, "5");
      before = memory("VmRSS");
    }
    begun.resolve();
    const silent = "says nothing";
    await until("the silent one to be asked", () => seen.has(silent));
    const inputs = Array.from({ length: 100 }, (_, n) => ({ record: contact(`${n}`) }));
    await api.enrollBatch("behaves", inputs);
    const stats = await api.drained("behaves");
    assert.equal(stats.delivered, 101);
    assert.deepEqual(stats.attempts, { delivered: 101, retry: 0, reject: 0 }, "each at its first attempt");
  });

  for (const [name, { is, status, truncated, cut }] of Object.entries(HOSTILE)) {
    it(name, async (t) => {
      t.after(() => (ends += 1));
      await begun.promise;
      const id = slugOf(name);
      const retry = status === 200 ? 1 : 2;
      await api.workflow(id, oneAction(`${origin}/${encodeURIComponent(name)}`, { timeout_ms: is === "timeout" ? TIMEOUT_MS : PLENTY_MS, retry: quickly }));
      const { id: enrollment } = await api.enroll(id, contact(name));
      const delivery = await api.settled(id, enrollment, "delivered");
      const { ids, socket } = seen.get(name);
      assert.deepEqual(ids, Array.from({ length: retry }, () => delivery.id), "the same webhook each time");
      assert.equal(delivery.attempts.length, retry);
      const [first] = delivery.attempts;
      assert.deepEqual([first.outcome, first.status], [is, status]);
      assert.equal(first.response?.truncated, truncated);
      assert.ok((first.response?.body.length ?? 0) <= 16 * 1024);
      if (is === "timeout") assert.ok(first.duration_ms >= TIMEOUT_MS, `cut after ${first.duration_ms} ms`);
      await until("the connection to be closed", () => socket.destroyed || socket.readableEnded);
      if (cut) assert.ok(socket.bytesWritten < cut, `${socket.bytesWritten} bytes were taken`);
      const stats = await api.drained(id);
      assert.deepEqual([stats.accepted, stats.delivered], [1, 1]);
    });
  }

  it("does any of this leaves memory bounded", { skip: !measurable && "there is no /proc" }, async (t) => {
    await until("all to have ended", () => ends === Object.keys(HOSTILE).length, 120_000);
    const grown = memory("VmHWM") - before;
    t.diagnostic(`the runtime's memory grew by ${Math.round(grown / MB)} MB at most, from ${Math.round(before / MB)} MB`);
    assert.ok(grown < MEMORY, `it grew by ${Math.round(grown / MB)} MB`);
  });
});

describe("a port", { concurrency: true }, () => {
  for (const [name, connected] of [
    ["that doesn't speak TLS", (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"))],
    ["that hangs up on a TLS handshake", (socket) => socket.once("data", () => socket.destroy())],
    ["that says nothing to a TLS handshake", () => {}],
  ]) {
    it(`${name} is a failed connection, until somebody better has it`, async (t) => {
      const sockets = new Set();
      const bad = net.createServer((socket) => {
        sockets.add(socket.on("error", () => {}));
        connected(socket);
      });
      bad.listen(0, "127.0.0.1");
      await once(bad, "listening");
      const { port } = bad.address();
      const id = slugOf(name);
      await api.workflow(id, oneAction(`https://127.0.0.1:${port}/`, { timeout_ms: 1_000 }));
      const { id: enrollment } = await api.enroll(id, contact());
      const { attempts } = await api.attempted(id, enrollment, 2);
      const outcome = name.includes("nothing") ? "timeout" : "connect";
      assert.deepEqual([attempts[0].outcome, attempts[0].verdict], [outcome, "retry"]);
      assert.deepEqual([attempts[0].status, attempts[0].response], [undefined, undefined]);
      for (const socket of sockets) socket.destroy();
      bad.close();
      await once(bad, "close");

      const good = await Receiver.start(authority.leaf, port);
      t.after(() => good.stop());
      const endpoint = good.endpoint("/");
      const delivery = await api.settled(id, enrollment, "delivered");
      assert.equal(endpoint.requests[0].headers["webhook-id"], delivery.id);
      assert.equal(endpoint.requests[0].text, endpoint.requests.at(-1).text);
    });
  }

  it("whose server dies with requests in its hands, and comes back, gets every one", async (t) => {
    const COUNT = 60;
    const mortal = await Receiver.start(authority.leaf);
    const port = Number(new URL(mortal.origin).port);
    const endpoint = mortal.endpoint("/mortal", { fault: "hold" });
    await api.workflow("mortal", oneAction(endpoint.url, { retry: { first_ms: 300, factor: 1, max_ms: 300, jitter: 0 } }));
    await api.enrollBatch("mortal", Array.from({ length: COUNT }, (_, n) => ({ record: contact(`${n}`) })));
    await endpoint.waitForHeld(COUNT);
    await mortal.stop();
    await until("each to have found nobody", async () => {
      const deliveries = await api.deliveries("mortal");
      return deliveries.every(({ attempt }) => attempt >= 3);
    });

    const born = await Receiver.start(authority.leaf, port);
    t.after(() => born.stop());
    const again = born.endpoint("/mortal");
    const stats = await api.drained("mortal");
    assert.deepEqual([stats.accepted, stats.delivered], [COUNT, COUNT]);
    assert.equal(new Set(again.requests.map(({ headers }) => headers["webhook-id"])).size, COUNT);
  });
});
