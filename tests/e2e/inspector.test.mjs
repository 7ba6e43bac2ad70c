/** The request bin: it records what arrives and answers as told. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, oneAction, quickly, stage } from "./support/stage.mjs";

const { api, runtime } = await stage();

/** A new bin. */
async function bin() {
  const { id, url } = await api.expect(201, "POST", "/v1/inspect");
  const requests = () => api.all(`/v1/inspect/${id}/requests`);
  const reply = (script) => api.done("PUT", `/v1/inspect/${id}/reply`, script);
  // The address may or may not end with a slash; what follows it is the caller's.
  return { id, url: url.replace(/\/$/, ""), requests, reply };
}

describe("a bin", { concurrency: true }, () => {
  it("has an address that can't be guessed", async () => {
    const [one, other] = [await bin(), await bin()];
    assert.ok(one.url.startsWith(`${runtime.url}/inspect/`), one.url);
    assert.ok(one.url.includes(one.id));
    assert.notEqual(one.id, other.id);
    assert.ok(one.id.length >= 22, "128 bits");
  });

  it("records what arrives, with no token, by any method, under any path", async () => {
    const { url, requests } = await bin();
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      const body = ["GET", "DELETE", "OPTIONS"].includes(method) ? undefined : `{"by": "${method}"}`;
      const answer = await fetch(`${url}/a%2Fb/${method}?x=%20&y`, { method, body, headers: { "x-case": "Kept" } });
      assert.equal(answer.status, 200);
      await answer.arrayBuffer();
    }
    const found = await requests();
    assert.deepEqual(found.map(({ method }) => method), ["OPTIONS", "DELETE", "PATCH", "PUT", "POST", "GET"]);
    const put = found[3];
    assert.equal(put.url, `${url}/a%2Fb/PUT?x=%20&y`);
    assert.equal(put.headers["x-case"], "Kept");
    assert.equal(put.body, '{"by": "PUT"}');
    assert.equal(put.answered, 200);
    assert.equal(new Set(found.map(({ id }) => id)).size, 6);
    assert.ok(put.at > 1.7e12 && put.at <= Date.now());
  });

  it("keeps bytes that are no text", async () => {
    const { url, requests } = await bin();
    const bytes = Buffer.from([0, 255, 1, 254, 0xc3, 0x28]);
    await fetch(`${url}/`, { method: "POST", body: bytes });
    const [found] = await requests();
    assert.deepEqual(Buffer.from(found.body_base64, "base64"), bytes);
  });

  it("answers as told", async () => {
    const { url, reply, requests } = await bin();
    await reply({ status: 418, headers: { "content-type": "application/json", "x-shop": "north" }, body: '{"tea":true}' });
    const answer = await fetch(`${url}/`, { method: "POST", body: "{}" });
    assert.equal(answer.status, 418);
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.equal(answer.headers.get("x-shop"), "north");
    assert.equal(await answer.text(), '{"tea":true}');
    assert.equal((await requests())[0].answered, 418);
  });

  it("fails the first calls when told to, then answers", async () => {
    const { url, reply, requests } = await bin();
    await reply({ status: 202, fail_first: 2 });
    const statuses = [];
    for (let n = 0; n < 4; n++) {
      const answer = await fetch(url);
      statuses.push(answer.status);
      await answer.arrayBuffer();
    }
    assert.ok(statuses[0] >= 500 && statuses[1] >= 500, `${statuses}`);
    assert.deepEqual(statuses.slice(2), [202, 202]);
    assert.deepEqual((await requests()).map(({ answered }) => answered), statuses.toReversed());
  });

  it("takes its time when told to", async () => {
    const { url, reply } = await bin();
    await reply({ status: 200, delay_ms: 700 });
    const before = performance.now();
    await (await fetch(url)).arrayBuffer();
    const took_ms = performance.now() - before;
    assert.ok(took_ms >= 699, `answered after ${took_ms} ms`);
  });

  it("can be what a workflow calls", async () => {
    const { url, reply, requests } = await bin();
    await reply({ status: 200, fail_first: 2 });
    await api.workflow("to-bin", oneAction(`${url}/orders`, { retry: quickly }));
    const { id } = await api.enroll("to-bin", contact());
    const delivery = await api.settled("to-bin", id, "delivered");
    assert.equal(delivery.attempts.length, 3);
    const found = await requests();
    assert.equal(found.length, 3);
    assert.ok(found.every(({ headers }) => headers["webhook-id"] === delivery.id));
    assert.deepEqual(found.map(({ headers }) => headers["varde-attempt"]), ["3", "2", "1"]);
    assert.equal(found[0].body, delivery.request.body);
  });

  it("that isn't there is a 404, and nothing is stored", async () => {
    const absent = "0".repeat(32);
    for (const path of [`/inspect/${absent}`, `/inspect/${absent}/`, `/inspect/${absent}/a/b`, "/inspect/x", "/inspect"]) {
      await api.refused(404, "POST", path, { a: 1 }, { token: null });
    }
    await api.refused(404, "GET", `/v1/inspect/${absent}/requests`);
    await api.refused(404, "PUT", `/v1/inspect/${absent}/reply`, { status: 200 });
    await api.refused(404, "DELETE", `/v1/inspect/${absent}`);
  });

  it("is gone when it is deleted", async () => {
    const { id, url, requests } = await bin();
    await (await fetch(url)).arrayBuffer();
    assert.equal((await requests()).length, 1);
    await api.done("DELETE", `/v1/inspect/${id}`);
    await api.refused(404, "GET", `/v1/inspect/${id}/requests`);
    assert.equal((await fetch(url)).status, 404);
  });

  it("keeps the newest hundred requests, and 64 KiB of each", async () => {
    const { url, requests } = await bin();
    await (await fetch(url, { method: "POST", body: "x".repeat(70 * 1024) })).arrayBuffer();
    assert.equal((await requests())[0].body.length, 64 * 1024);
    for (let n = 1; n <= 102; n++) await (await fetch(`${url}/${n}`)).arrayBuffer();
    const found = (await requests()).map(({ url: seen }) => Number(seen.slice(url.length + 1)));
    assert.deepEqual(found, Array.from({ length: 100 }, (_, n) => 102 - n));
  });
});

describe("a scripted answer", { concurrency: true }, () => {
  it("is harmless in a browser", async () => {
    const { url, reply } = await bin();
    await reply({ status: 200, headers: { "content-type": "text/html" }, body: "<script>alert(1)</script>" });
    const answer = await fetch(url);
    assert.match(answer.headers.get("content-security-policy"), /(^|;)\s*sandbox\b/);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  });

  it("may not carry headers that act on a browser", async () => {
    const { reply, id, url } = await bin();
    await reply({ status: 201 });
    for (const name of ["Set-Cookie", "location", "Clear-Site-Data", "service-worker-allowed", "Content-Security-Policy"]) {
      await api.refused(422, "PUT", `/v1/inspect/${id}/reply`, { status: 200, headers: { [name]: "x" } });
    }
    assert.equal((await fetch(url)).status, 201, "the reply from before still holds");
  });

  it("has bounds", async () => {
    const { id } = await bin();
    for (const script of [
      { status: 99 },
      { status: 600 },
      { status: "200" },
      { delay_ms: 30_001 },
      { fail_first: -1 },
      { headers: { "a b": "x" } },
      { headers: { a: "x\ny" } },
      { colour: "blue" },
    ]) {
      await api.refused(422, "PUT", `/v1/inspect/${id}/reply`, script);
    }
  });
});
