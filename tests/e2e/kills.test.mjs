/**
 * The runtime is killed with SIGKILL again and again, at random moments of everything it does, and started
 * again on what it left. Nothing that was accepted is lost or stranded, nothing comes twice but what was out
 * when a kill came, and what is due goes on soon, without anybody's call.
 *
 * The moments come from a seed, which is printed; `VARDE_SEED` repeats it, as far as a kill can be repeated.
 */

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { askOutboxes } from "./support/rows.mjs";
import { contact, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const SEED = Number(process.env.VARDE_SEED ?? randomInt(2 ** 31));
const KILLS_PER_MOMENT = 4;
/** Enrollments of a round; each owes two webhooks. */
const ROUND = 50;
const BATCH = 10;
/** How soon after a restart, or after the end of a dead sender's lease, work must go on. */
const RESUMES_WITHIN_MS = 10_000;
const TIMEOUT_MS = 2_000;

/** Fractions in `0..1`. */
const dice = (() => {
  let state = SEED;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
})();
const upTo = (most) => Math.floor(dice() * (most + 1));

const idOf = ({ headers }) => headers["webhook-id"];
const recordOf = ({ text }) => JSON.parse(text).record;

/** What an endpoint answers to the requests of a round, by the records' prefix. */
const replies = new Map();
/** The first delivery of each record and action: a later one is a replay. */
const originals = new Map();
/** Requests by delivery. */
const arrivals = new Map();
let onArrival = () => {};

function take(action) {
  return (request) => {
    const [id, record] = [idOf(request), recordOf(request)];
    const key = `${action}/${record}`;
    if (!originals.has(key)) originals.set(key, id);
    const requests = arrivals.get(id) ?? [];
    requests.push(request);
    arrivals.set(id, requests);
    onArrival();
    const reply = replies.get(record.split("-")[0]) ?? (() => 200);
    return reply({ first: requests.length === 1, original: originals.get(key) === id });
  };
}

const first = receiver.endpoint("/first", take("first"));
const second = receiver.endpoint("/second", take("second"));
const action = (id, url) => ({
  id,
  type: "webhook",
  method: "POST",
  url,
  timeout_ms: TIMEOUT_MS,
  retry: { first_ms: 100, factor: 1, max_ms: 100, jitter: 0 },
  body: { kind: "properties", fields: [{ name: "record", value: { record: "id" } }] },
});
await api.workflow("killed", {
  name: "Killed",
  object_type: "contact",
  shards: 2,
  actions: [action("first", first.url), action("second", second.url)],
});

/** What callers were told, by idempotency key. */
const answered = new Map();
const kills = { count: 0, leased: new Map(), resumed_ms: 0, after_lease_ms: 0 };
/** What was open at the last kill, and by when it must have gone on. */
let owed = new Map();

/** Enrolls a round's records, or as many as a kill lets in. */
function enroll(prefix) {
  const batches = [];
  for (let from = 0; from < ROUND; from += BATCH) {
    const inputs = Array.from({ length: BATCH }, (_, n) => `${prefix}-${from + n}`);
    batches.push(post(inputs));
  }
  return Promise.all(batches);
}

async function post(keys) {
  const inputs = keys.map((key) => ({ record: contact(key), idempotency_key: key }));
  const { results } = await api.enrollBatch("killed", inputs);
  for (const [n, { id }] of results.entries()) {
    assert.ok(id, `${keys[n]} is enrolled`);
    const before = answered.get(keys[n]);
    assert.ok(before === undefined || before === id, `${keys[n]} got ${before}, and now ${id}`);
    answered.set(keys[n], id);
  }
}

/** Kills, looks at what is left, starts again. */
async function kill() {
  await runtime.kill9();
  kills.count += 1;
  checkResumed();
  const open = askOutboxes(runtime, "SELECT id, lane, wakes_at FROM deliveries WHERE lane IS NOT NULL");
  const seen = new Map(open.map(({ id }) => [id, arrivals.get(id)?.length ?? 0]));
  await runtime.restart();
  const restarted = Date.now();
  owed = new Map();
  for (const { id, lane, wakes_at } of open) {
    const leased = lane === 1;
    if (leased) kills.leased.set(id, (kills.leased.get(id) ?? 0) + 1);
    owed.set(id, { leased, seen: seen.get(id), from: Math.max(wakes_at, restarted) });
  }
}

/** What of the owed has gone on did so in time, and nothing is overdue. */
function checkResumed() {
  for (const [id, { leased, seen, from }] of owed) {
    const next = arrivals.get(id)?.[seen];
    const took_ms = (next?.at ?? Date.now()) - from;
    assert.ok(took_ms <= RESUMES_WITHIN_MS, `${id} (${leased ? "leased" : "due"}) went on after ${took_ms} ms; seed ${SEED}`);
    if (next) {
      const which = leased ? "after_lease_ms" : "resumed_ms";
      kills[which] = Math.max(kills[which], took_ms);
      owed.delete(id);
    }
  }
}

/** Nobody calls: the alarms alone bring what was open at the kill on its way. */
const resumed = () => until("what was open to go on", () => (checkResumed(), owed.size === 0));

function arrived(count) {
  let left = count;
  onArrival = () => (left -= 1);
  return until(`${count} requests`, () => left <= 0);
}

/** One round: enroll, wait for the moment, kill, and enroll again what got no answer. */
async function round(prefix, moment) {
  // What a call meets when the runtime dies under it is not what this is about.
  const enrolling = enroll(prefix).catch(() => {});
  await moment(enrolling);
  onArrival = () => {};
  await kill();
  await enrolling;
  return enroll(prefix);
}

const MOMENTS = {
  accept: { when: () => sleep(upTo(80)) },
  send: { when: () => arrived(1 + upTo(2 * ROUND - 1)) },
  settle: {
    when: async () => {
      await arrived(1 + upTo(2 * ROUND - 1));
      await sleep(upTo(20));
    },
  },
  // Only alarms make second attempts.
  alarm: {
    reply: ({ first }) => (first ? 503 : 200),
    when: async (enrolling) => {
      await enrolling;
      await arrived(1 + upTo(2 * ROUND - 1));
      await sleep(upTo(50));
    },
  },
};

describe("a kill -9 at random", () => {
  for (const [name, { reply, when }] of Object.entries(MOMENTS)) {
    it(`while it is at: ${name}`, async (t) => {
      t.diagnostic(`seed ${SEED}`);
      for (let n = 0; n < KILLS_PER_MOMENT; n++) {
        const prefix = `${name}${n}`;
        if (reply) replies.set(prefix, reply);
        await round(prefix, when);
        // Every other time: leases of the dead are waited for now, or are still out when the next kill comes.
        if (n % 2 === 0) await resumed();
      }
    });
  }

  it("while it is at: bulk replay", async (t) => {
    t.diagnostic(`seed ${SEED}`);
    const replay = () => api.expect(202, "POST", "/v1/workflows/killed/replays", { status: "rejected", dry_run: false });
    for (let n = 0; n < KILLS_PER_MOMENT; n++) {
      const prefix = `replay${n}`;
      replies.set(prefix, ({ original }) => (original ? 404 : 200));
      await enroll(prefix);
      await api.drained("killed");
      let ordered = false;
      const ordering = replay().then(() => (ordered = true), () => {});
      await sleep(upTo(400));
      await kill();
      await ordering;
      // One that got no answer may have begun all the same; what it has taken, another doesn't take again.
      if (!ordered) await replay();
      await resumed();
      await until("the replays to be done", async () => {
        // An order that the registry has and some outbox hasn't heard of is the sweep's.
        await fetch(`${runtime.url}/__testing/sweep`);
        const { items } = await api.get("/v1/workflows/killed/replays");
        return items.every(({ status }) => status !== "running");
      });
    }
  });

  it("has lost nothing, stranded nothing, and doubled only what was out", async (t) => {
    const rounds = KILLS_PER_MOMENT * (Object.keys(MOMENTS).length + 1);
    const replayed = 2 * ROUND * KILLS_PER_MOMENT;
    // An enrollment whose next step waits for a sender that died has nothing open until another one is asked.
    const stats = await until(
      "every enrollment to take its last step",
      async () => {
        const found = await api.drained("killed", 120_000);
        return found.accepted >= 2 * ROUND * rounds + replayed && found;
      },
      60_000,
    );
    const deliveries = await api.deliveries("killed", { limit: 100 });
    assert.equal(kills.count, rounds);
    assert.ok(kills.count >= 20, `${kills.count} kills`);
    assert.equal(answered.size, rounds * ROUND);
    assert.deepEqual(
      [stats.accepted, stats.delivered, stats.rejected, stats.exhausted, stats.canceled],
      [2 * ROUND * rounds + replayed, 2 * ROUND * rounds, replayed, 0, 0],
    );
    assert.ok(stats.accepted >= 2_000, `${stats.accepted} deliveries`);
    assert.equal(deliveries.length, stats.accepted);

    const byEnrollment = Map.groupBy(deliveries, ({ enrollment }) => enrollment);
    assert.equal(byEnrollment.size, answered.size, "nobody is enrolled twice");
    for (const [key, id] of answered) {
      const actions = (byEnrollment.get(id) ?? []).map(({ action, status }) => `${action} ${status}`).sort();
      const expected = ["first delivered", "second delivered"];
      if (key.startsWith("replay")) expected.splice(1, 0, "first rejected");
      if (key.startsWith("replay")) expected.push("second rejected");
      assert.deepEqual(actions, expected, `the deliveries of ${key}`);
    }

    let doubled = 0;
    for (const { id } of deliveries) {
      const requests = arrivals.get(id) ?? [];
      assert.ok(requests.length > 0, `${id} never arrived`);
      const unasked = requests.filter(({ answered: status }) => status !== 503).length - 1;
      if (unasked <= 0) continue;
      // A slow machine may have cut an attempt whose request had arrived; the log says so.
      const { attempts } = await api.delivery("killed", id);
      const cut = attempts.filter(({ outcome }) => outcome === "timeout" || outcome === "connect").length;
      const out = kills.leased.get(id) ?? 0;
      assert.ok(unasked <= out + cut, `${id} came ${unasked} times too often; it was out at ${out} kills; seed ${SEED}`);
      doubled += unasked;
    }
    const leased = [...kills.leased.values()].reduce((sum, count) => sum + count, 0);
    t.diagnostic(`seed ${SEED}: ${kills.count} kills, ${stats.accepted} deliveries, 0 lost, 0 stranded, ${doubled} doubled of ${leased} leases out`);
    t.diagnostic(`due work went on within ${kills.resumed_ms} ms of a restart, leased work within ${kills.after_lease_ms} ms of its lease's end`);
  });
});
