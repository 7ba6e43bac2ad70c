/**
 * The alarm is the clock of all retries. It is lost, late, doubled, and finds rows that nobody can read: what
 * is open goes on all the same, and what can't go on is set aside, in plain sight, and stops nobody.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { assertBooksBalance } from "./support/api.mjs";
import { askOutboxes, changeOutboxes, loseAlarms } from "./support/rows.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const every = (ms) => ({ first_ms: ms, factor: 1, max_ms: ms, jitter: 0 });
const tell = (what, workflow) => api.done("POST", `/__testing/${what}?workflow=${workflow}`);
const printed = (code) => runtime.output().split(`"code":"${code}"`).length - 1;
const idOf = ({ headers }) => headers["webhook-id"];

/** Changes what is stored while the runtime is down. */
async function whileDown(change) {
  await runtime.kill9();
  const result = await change();
  await runtime.restart();
  return result;
}

/** One delivery that has failed once and waits for its retry, `inMs` away. */
async function waiting(name, inMs) {
  const endpoint = receiver.endpoint(`/${name}`, 503, 200);
  await api.workflow(name, oneAction(endpoint.url, { retry: every(inMs) }));
  const { id } = await api.enroll(name, contact());
  const { attempts, next_due: due } = await api.attempted(name, id, 1);
  assert.equal(attempts.length, 1);
  return { endpoint, id, due };
}

/** Waits past a due, and finds that nothing has come: the alarm is gone indeed. */
async function nothingComes(endpoint, due) {
  await sleep(Math.max(due - Date.now(), 0) + 1_500);
  assert.equal(endpoint.requests.length, 1, "nobody rang");
}

describe("an alarm that is lost", () => {
  it("under the object's feet is found by the sweep", async () => {
    const { endpoint, id, due } = await waiting("swept", 1_500);
    await tell("lose-alarm", "swept");
    await nothingComes(endpoint, due);
    await api.get("/__testing/sweep");
    await api.settled("swept", id, "delivered");
  });

  it("while the object is down is found when it starts, at whatever call comes first", async () => {
    const { endpoint, id, due } = await waiting("started", 1_500);
    assert.ok((await whileDown(() => loseAlarms(runtime, { forgotten: true }))) > 0);
    await nothingComes(endpoint, due);
    await api.stats("started");
    await api.settled("started", id, "delivered");
  });

  it("by the runtime alone, so that the object still believes in it, is set anew when it is overdue", async () => {
    const { endpoint, id, due } = await waiting("believed", 1_500);
    await whileDown(() => {
      assert.ok(loseAlarms(runtime, { forgotten: false }) > 0);
      // It should have rung two minutes ago.
      assert.ok(changeOutboxes(runtime, "UPDATE _cf_METADATA SET value = value - 120000000000 WHERE key = 1") > 0);
    });
    await nothingComes(endpoint, due);
    await api.stats("believed");
    await api.settled("believed", id, "delivered");
  });
});

describe("an alarm", () => {
  it("that is in the past when the runtime starts rings without anybody's call", async () => {
    const { endpoint, id, due } = await waiting("past", 1_000);
    await whileDown(() => sleep(Math.max(due - Date.now(), 0) + 1_000));
    await endpoint.waitFor(2);
    await api.settled("past", id, "delivered");
  });

  it("that rings many times at once, and again while leases are out, hands out each lease once", async () => {
    const COUNT = 48;
    const endpoint = receiver.endpoint("/doubled", (request, index) => (index < COUNT ? 503 : { fault: "hold" }));
    await api.workflow("doubled", oneAction(endpoint.url, { retry: every(1_500) }));
    const inputs = Array.from({ length: COUNT }, (_, n) => ({ record: contact(`${n}`) }));
    await api.enrollBatch("doubled", inputs);
    await endpoint.waitFor(COUNT);
    const ring = () => Promise.all(Array.from({ length: 5 }, () => tell("ring", "doubled")));
    while (endpoint.requests.length < 2 * COUNT) await ring();
    // All are out now, their endpoint says nothing, and it rings and rings.
    await endpoint.waitForHeld(COUNT);
    for (let n = 0; n < 5; n++) await ring();
    endpoint.release(200);
    await api.drained("doubled");

    const attempts = endpoint.requests.map((request) => `${idOf(request)} ${request.headers["varde-attempt"]}`);
    assert.equal(new Set(attempts).size, attempts.length, "no attempt is made twice");
    assert.equal(attempts.length, 2 * COUNT);
  });

  it("whose statements fail, one after the other, throws nothing at the runtime and loses nothing", async (t) => {
    const endpoint = receiver.endpoint("/failing", (request) => (request.headers["varde-attempt"] === "1" ? { fault: "hold" } : 200));
    await api.workflow("failing", oneAction(endpoint.url, { retry: every(100) }));
    await api.enroll("failing", contact("warm"));
    await endpoint.waitForHeld(1);
    endpoint.release(503);
    await api.drained("failing");

    const before = printed("alarm_failed");
    let sent = endpoint.requests.length;
    for (let n = 5; n <= 33; n += 2) {
      await api.enroll("failing", contact(`${n}`));
      await endpoint.waitForHeld(1);
      await api.done("POST", `/__testing/fail-statement?n=${n}`);
      endpoint.release(503);
      // A look at the outbox would run statements, too.
      await endpoint.waitFor((sent += 2));
      await api.done("POST", "/__testing/fail-statement?n=0");
    }
    const stats = await api.drained("failing");
    assert.equal(stats.delivered, stats.accepted);
    const failed = printed("alarm_failed") - before;
    t.diagnostic(`${failed} faults met an alarm`);
    assert.ok(failed >= 3, `${failed} faults met an alarm`);
    // A settle that fails says so to its sender; what else the runtime hears of came out of the alarm.
    const heard = runtime.output().match(/Uncaught (?!Error: it could not be stored).*/g);
    assert.equal(heard, null, "the runtime heard of none");
  });
});

/** What damage or a newer version may leave in a row, and the reason that is shown. */
const POISON = {
  "another state": ["state", '{"status":"delegated","attempt":1}', "unreadable_state"],
  "no JSON": ["state", "\u0001", "unreadable_state"],
  "no terms": ["terms", '{"format":2}', "unreadable_terms"],
  "half a request": ["request", '{"method":"POST",', "unreadable_request"],
  "another request": ["request", '{"verb":"POST"}', "unreadable_request"],
  "another replay": ["replay", "7", "unreadable_replay"],
};

describe("a row that can't be read", () => {
  it("is set aside with the reason, stops nobody, and goes on when it can be read again", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/poisoned", () => (down ? 503 : 200));
    await api.workflow("poisoned", oneAction(endpoint.url, { retry: every(3_000) }));
    const ids = {};
    for (const name of [...Object.keys(POISON), "healthy", "canceled"]) {
      ids[name] = (await api.enroll("poisoned", contact(name))).id;
    }
    for (const id of Object.values(ids)) await api.attempted("poisoned", id, 1);
    const kept = await whileDown(() => {
      const rows = askOutboxes(runtime, "SELECT record, state, terms, request, replay FROM deliveries");
      for (const [record, [column, text]] of Object.entries({ ...POISON, canceled: POISON["another state"] })) {
        assert.equal(changeOutboxes(runtime, `UPDATE deliveries SET ${column} = ? WHERE record = ?`, text, record), 1, record);
      }
      return rows;
    });
    down = false;

    // The one in the middle of them arrives, by the alarm alone.
    await until("the healthy one to arrive", () => endpoint.requests.some(({ answered }) => answered === 200));
    const count = Object.keys(POISON).length + 1;
    const stats = await until("the others to be set aside", async () => {
      const found = await api.stats("poisoned");
      assertBooksBalance(found);
      return found.set_aside === count && found;
    });
    assert.deepEqual([stats.accepted, stats.delivered, stats.open, stats.actions.tell.set_aside], [count + 1, 1, count, count]);
    assert.equal(stats.oldest_open_due, undefined, "nothing waits for its time");

    const held = await api.deliveries("poisoned", { status: "held" });
    assert.equal(held.length, count);
    for (const [record, [, , reason]] of Object.entries(POISON)) {
      const listed = held.find((one) => one.record === record);
      assert.equal(listed?.reason, reason, record);
      const shown = await api.delivery("poisoned", listed.id);
      assert.deepEqual([shown.status, shown.reason, shown.attempts.length], ["held", reason, 1], record);
      assert.equal((await api.enrollment("poisoned", ids[record])).status, "running", record);
      assert.ok(runtime.output().includes(`"code":"row_set_aside","subject":"${listed.id}","cause":"${reason}"`), `${record} is in the log`);
    }
    // A person who doesn't want to wait for a version that can read it.
    const unwanted = held.find((one) => one.record === "canceled");
    await api.done("POST", `/v1/workflows/poisoned/deliveries/${unwanted.id}/cancel`);
    assert.equal((await api.delivery("poisoned", unwanted.id)).status, "canceled");
    assert.equal((await api.stats("poisoned")).canceled, 1);

    // Another start of the same version changes nothing.
    await whileDown(() => {});
    const again = await api.stats("poisoned");
    assert.deepEqual([again.open, again.set_aside], [count - 1, count - 1]);
    assertBooksBalance(again);

    // One that can read them: they go on, each with the very request that it had.
    const sent = endpoint.requests.length;
    await whileDown(() => {
      for (const { record, ...columns } of kept.filter((row) => POISON[row.record])) {
        const sql = "UPDATE deliveries SET state = ?, terms = ?, request = ?, replay = ? WHERE record = ?";
        changeOutboxes(runtime, sql, columns.state, columns.terms, columns.request, columns.replay, record);
      }
    });
    await api.get("/__testing/sweep");
    const end = await api.drained("poisoned");
    assert.deepEqual([end.accepted, end.delivered, end.canceled, end.set_aside], [count + 1, count, 1, undefined]);
    assert.equal(endpoint.requests.length - sent, Object.keys(POISON).length);
  });

  it("in a line or in flight lets those behind it go", async () => {
    const endpoint = receiver.endpoint("/in-line", { fault: "hold" }, 200);
    await api.workflow("in-line", oneAction(endpoint.url, { timeout_ms: 1_000 }, { ordering: "record" }));
    for (let n = 0; n < 4; n++) await api.enroll("in-line", contact("one", { n }));
    await endpoint.waitForHeld(1);
    await whileDown(() => {
      // The first is in flight, and the second waits for it.
      const [first, second] = askOutboxes(runtime, "SELECT id FROM deliveries WHERE record = 'one' AND action = 'tell' ORDER BY place");
      for (const { id } of [first, second]) {
        assert.equal(changeOutboxes(runtime, "UPDATE deliveries SET state = '{}' WHERE id = ?", id), 1);
      }
    });
    await endpoint.waitFor(3);
    const stats = await until("the others to be delivered", async () => {
      const found = await api.stats("in-line");
      return found.delivered === 2 && found;
    });
    assert.deepEqual([stats.open, stats.set_aside], [2, 2]);
    const numbers = endpoint.requests.slice(1).map(({ text }) => JSON.parse(text).properties.n.value);
    assert.deepEqual(numbers, [2, 3]);

    // Deleting the workflow ends them, too.
    await api.done("DELETE", "/v1/workflows/in-line?open=cancel");
    const open = await whileDown(() => askOutboxes(runtime, "SELECT 1 FROM deliveries WHERE record = 'one' AND lane IS NOT NULL"));
    assert.equal(open.length, 0);
  });

  it("of an enrollment keeps its next webhook from going out wrong, and no other from going out", async () => {
    const first = receiver.endpoint("/step-1", 503, 503, 200);
    const second = receiver.endpoint("/step-2");
    const action = (id, url) => ({ ...oneAction(url, { retry: every(2_000) }).actions[0], id });
    await api.workflow("steps", { ...oneAction(first.url), actions: [action("first", first.url), action("second", second.url)] });
    const [bad, good] = [await api.enroll("steps", contact("bad")), await api.enroll("steps", contact("good"))];
    for (const { id } of [bad, good]) await api.attempted("steps", id, 1);
    const [{ input }] = await whileDown(() => {
      const kept = askOutboxes(runtime, "SELECT input FROM deliveries WHERE record = 'bad' AND input IS NOT NULL");
      assert.equal(changeOutboxes(runtime, "UPDATE deliveries SET input = '{\"record\":' WHERE record = 'bad' AND input IS NOT NULL"), 1);
      return kept;
    });
    await api.ended("steps", good.id);
    const aside = await until("the other one to be set aside", async () => {
      const found = await api.enrollment("steps", bad.id);
      return found.reason !== undefined && found;
    });
    assert.deepEqual([aside.status, aside.reason, aside.deliveries.length], ["running", "unreadable_enrollment", 1]);
    assert.equal((await api.all("/v1/workflows/steps/enrollments")).length, 2);
    assert.equal(second.requests.length, 1);
    // While it waits, nothing may be deleted by accident.
    await api.refused(409, "DELETE", "/v1/workflows/steps");

    await whileDown(() => changeOutboxes(runtime, "UPDATE deliveries SET input = ? WHERE record = 'bad' AND input IS NOT NULL", input));
    await api.get("/__testing/sweep");
    const { deliveries } = await api.ended("steps", bad.id);
    assert.deepEqual(deliveries.map(({ action: id, status }) => [id, status]), [["first", "delivered"], ["second", "delivered"]]);
  });

  it("of what has ended spoils no list, no count and no bulk replay", async () => {
    const endpoint = receiver.endpoint("/ended", (request) => (request.text.includes('"refused') ? 404 : 200));
    await api.workflow("ended", oneAction(endpoint.url));
    const records = ["refused-1", "refused-2", "refused-3", "fine-1", "fine-2"];
    await api.enrollBatch("ended", records.map((record) => ({ record: contact(record, { name: record }) })));
    const before = await api.drained("ended");
    await whileDown(() => {
      for (const [sql, rows] of [
        ["UPDATE counters SET counts = '[' WHERE action = 'tell'", undefined],
        ["UPDATE deliveries SET state = '{' WHERE record = 'refused-1'", 1],
        ["UPDATE deliveries SET terms = '{' WHERE record = 'refused-2'", 1],
        ["UPDATE deliveries SET finale = '{' WHERE record = 'fine-1'", 1],
        ["INSERT INTO replays (id, progress) VALUES ('rpl_1', '{')", undefined],
        ["INSERT INTO reports (id, input, due) VALUES ('enr_1', '{', 1)", undefined],
      ]) {
        const changed = changeOutboxes(runtime, sql);
        assert.ok(rows === undefined ? changed > 0 : changed === rows, sql);
      }
    });
    const after = await api.stats("ended");
    assertBooksBalance(after);
    assert.deepEqual([after.accepted, after.delivered, after.rejected], [before.accepted, before.delivered, before.rejected]);
    assert.equal((await api.deliveries("ended")).length, records.length);
    assert.equal((await api.all("/v1/workflows/ended/enrollments")).length, records.length);
    for (const { id } of await api.deliveries("ended")) await api.delivery("ended", id);

    const sent = endpoint.requests.length;
    const replay = await api.expect(202, "POST", "/v1/workflows/ended/replays", { status: "rejected", dry_run: false });
    await until("the replay to be done", async () => {
      const found = await api.get(`/v1/workflows/ended/replays/${replay.id}`);
      return found.status !== "running";
    });
    const end = await api.drained("ended");
    assert.equal(endpoint.requests.length - sent, 1, "the one that can be read is sent again");
    assert.equal(end.accepted, before.accepted + 1);
  });
});
