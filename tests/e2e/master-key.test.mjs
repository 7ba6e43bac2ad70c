/** Another master key: said clearly at the first use, and changed without losing a secret. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { contact, oneAction, stage } from "./support/stage.mjs";

const fresh = () => randomBytes(32).toString("base64");
const [FIRST, SECOND, WRONG] = [fresh(), fresh(), fresh()];

const { api, receiver, runtime } = await stage({ variables: { VARDE_MASTER_KEY: FIRST } });

/** Starts the runtime again, with other keys. */
async function withKeys(current, previous = "") {
  await runtime.kill9();
  await runtime.restart({ VARDE_MASTER_KEY: current, VARDE_MASTER_KEY_PREVIOUS: previous });
}

const reseal = () => api.expect(200, "POST", "/v1/master-key/reseal");

/** What an endpoint was last sent. */
const bearer = (endpoint) => endpoint.requests.at(-1)?.headers.authorization;

// Each step goes on where the one before it ended.
describe("the master key", { concurrency: false }, () => {
  const endpoint = receiver.endpoint("/master-key");
  let waiting;

  it("opens what it sealed", async () => {
    await api.secret("shop", "first-value");
    await api.done("POST", "/v1/secrets/shop/rotate", { value: "second-value", overlap_s: 3_600 });
    await api.done("POST", "/v1/secrets/shop/rotate", { value: "third-value", activate_at: Date.now() + 3_600_000 });
    await api.secret("unused", "another-value");
    await api.workflow("keyed", oneAction(endpoint.url, { auth: { type: "bearer", secret: "shop" } }));
    const { id } = await api.enroll("keyed", contact());
    await api.settled("keyed", id, "delivered");
    assert.equal(bearer(endpoint), "Bearer second-value");
    assert.deepEqual(await reseal(), { secrets: 2, resealed: 0, unreadable: [] });
  });

  it("that is another one is told at the first use, with both keys' ids, and nothing is sent", async () => {
    const down = receiver.endpoint("/waits", 503, 200);
    const retry = { first_ms: 1_000, factor: 1, max_ms: 1_000, jitter: 0 };
    await api.workflow("waits", oneAction(down.url, { retry, auth: { type: "bearer", secret: "shop" } }));
    waiting = { id: (await api.enroll("waits", contact())).id, down };
    await api.attempted("waits", waiting.id, 1);

    await withKeys(WRONG);
    const sent = endpoint.requests.length;
    const problem = await api.refused(500, "POST", "/v1/workflows/keyed/enrollments", { record: contact("2") });
    assert.equal(problem.code, "master_key_mismatch");
    assert.match(problem.detail, /^secret `shop` can't be opened: sealed under another master key \(id [0-9a-f]{8}\) than the one in force \(id [0-9a-f]{8}\)$/);
    for (const value of ["value", WRONG, FIRST]) assert.ok(!JSON.stringify(problem).includes(value));
    // What was taken before comes due and waits. It isn't shown: what is to be masked in it can't be known.
    const look = await api.refused(500, "GET", `/v1/workflows/waits/enrollments/${waiting.id}`);
    assert.equal(look.code, "master_key_mismatch");
    await sleep(2_000);
    assert.equal(waiting.down.requests.length, 1);
    assert.equal(endpoint.requests.length, sent);
    const answer = await reseal();
    assert.deepEqual(answer, {
      secrets: 2,
      resealed: 0,
      unreadable: ["shop", "unused"].map((name) => ({ name, reason: "master_key_mismatch" })),
    });
    assert.match(runtime.output(), /"code":"master_key_mismatch"/);
  });

  it("put back makes everything go on", async () => {
    await withKeys(FIRST);
    const { attempts } = await api.settled("waits", waiting.id, "delivered");
    assert.deepEqual(attempts.map(({ outcome, status }) => [outcome, status]), [["response", 503], ["response", 200]], "no attempt was lost to the wrong key");
    assert.equal(bearer(waiting.down), "Bearer second-value");
    const { id } = await api.enroll("keyed", contact("3"));
    await api.settled("keyed", id, "delivered");
  });

  it("is changed while everything goes on: the former one reads, the new one writes", async () => {
    await withKeys(SECOND, FIRST);
    const { id } = await api.enroll("keyed", contact("4"));
    await api.settled("keyed", id, "delivered");
    assert.equal(bearer(endpoint), "Bearer second-value");
    await api.secret("of-the-new-key", "fresh-value");

    const denied = (await api.done("POST", "/v1/tokens", { name: "reader", scope: "read" })).token;
    await api.as(denied).refused(403, "POST", "/v1/master-key/reseal");
    const before = await api.all("/v1/secrets");
    assert.deepEqual(await reseal(), { secrets: 3, resealed: 2, unreadable: [] });
    assert.deepEqual(await reseal(), { secrets: 3, resealed: 0, unreadable: [] }, "a second call has nothing to do");
    assert.deepEqual(await api.all("/v1/secrets"), before, "rotations and times stay as they were");
    await api.refused(422, "POST", "/v1/master-key/reseal", { all: true });
  });

  it("that was in force before can be forgotten then", async () => {
    await withKeys(SECOND);
    const { id } = await api.enroll("keyed", contact("5"));
    await api.settled("keyed", id, "delivered");
    assert.equal(bearer(endpoint), "Bearer second-value");
    assert.deepEqual(await reseal(), { secrets: 3, resealed: 0, unreadable: [] });
    // And alone it opens nothing any more.
    await withKeys(FIRST);
    const problem = await api.refused(500, "POST", "/v1/workflows/keyed/enrollments", { record: contact("6") });
    assert.equal(problem.code, "master_key_mismatch");
    assert.equal((await reseal()).unreadable.length, 3);
  });

  it("is one of 32 bytes, both of them", async () => {
    for (const [current, previous, name] of [
      ["short", "", "VARDE_MASTER_KEY"],
      [SECOND, "c2hvcnQ=", "VARDE_MASTER_KEY_PREVIOUS"],
    ]) {
      await withKeys(current, previous);
      for (const [method, path, json] of [
        ["PUT", "/v1/secrets/new", { value: "v" }],
        ["POST", "/v1/workflows/keyed/enrollments", { record: contact("7") }],
        ["POST", "/v1/master-key/reseal", undefined],
      ]) {
        const problem = await api.refused(500, method, path, json);
        assert.equal(problem.code, "misconfigured");
        assert.match(problem.detail, new RegExp(`^the Worker secret ${name} is not 32 bytes in base64`));
      }
    }
  });
});
