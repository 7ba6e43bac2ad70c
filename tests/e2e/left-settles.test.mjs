// Settles that are left for whoever goes to the outbox next, as `src/outbox.mjs` does it: nothing is lost or doubled
// by who brings them, whatever the outbox answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { leave, tell } from "../../src/outbox.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const text = (array) => new TextDecoder().decode(array);
const turn = () => new Promise(setImmediate);

/** An outbox that answers when it is told to, and time that passes when it is told to. */
function outbox(t) {
  t.mock.timers.enable({ apis: ["Date", "setTimeout"], now: 1_000_000 });
  const heard = [];
  const open = [];
  const exchange = (messages) => {
    heard.push(messages.map(text).join("\n"));
    return new Promise((resolve, reject) => open.push({ resolve, reject }));
  };
  /** Answers the oldest. */
  const answer = async (reply) => {
    const { resolve, reject } = open.shift();
    if (reply instanceof Error) reject(reply);
    else resolve(reply.split("\n").map(bytes));
    await turn();
  };
  const pass = async (ms) => {
    for (let left = ms; left > 0; left -= 10) {
      t.mock.timers.tick(Math.min(left, 10));
      await turn();
    }
  };
  // Each test has outboxes of its own: what is left is kept by name.
  const name = `${t.name}/0`;
  const env = { OUTBOX: { getByName: () => ({ exchange }) } };
  return {
    heard,
    answer,
    pass,
    tell: (message) => tell(env, name, bytes(message)).then(text),
    leave: (message) => leave(env, name, bytes(message)),
  };
}

/** Watches a promise without waiting for it. */
function watch(promise) {
  const state = { kept: false, broken: undefined };
  promise.then(
    () => (state.kept = true),
    (error) => (state.broken = error.message),
  );
  return state;
}

test("who goes to the outbox takes along what is left, and hears the reply to its own", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  const first = watch(leave("a"));
  assert.equal(leave("b"), undefined, "the first one sees to it");
  const told = tell("accept");
  assert.deepEqual(heard, ["accept\na\nb"]);
  await answer('{"own":1}\n{}\n{}');
  assert.equal(await told, '{"own":1}');
  await pass(10);
  assert.equal(first.kept, true);
  assert.deepEqual(heard, ["accept\na\nb"], "nothing goes twice");
  assert.notEqual(leave("c"), undefined, "nobody sees to anything any more");
});

test("when nobody goes there, all goes together after a moment", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  leave("b");
  assert.deepEqual(heard, []);
  await pass(10);
  assert.deepEqual(heard, ["a\nb"]);
  leave("c");
  assert.equal(first.kept, false);
  await answer("{}\n{}");
  await pass(10);
  await answer("{}");
  assert.deepEqual(heard, ["a\nb", "c"]);
  await pass(10);
  assert.equal(first.kept, true);
});

test("what was left a moment ago still waits for somebody", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  leave("a");
  const told = tell("accept");
  await answer("{}\n{}");
  await told;
  await pass(6);
  leave("b");
  await pass(4);
  assert.deepEqual(heard, ["accept\na"]);
  await pass(10);
  assert.deepEqual(heard, ["accept\na", "b"]);
});

test("when the outbox fails whoever brings it, the settles wait again", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  const first = watch(leave("a"));
  const told = assert.rejects(tell("accept"), /reset/);
  await answer(new Error("reset"));
  await told;
  await pass(10);
  await answer("{}");
  await pass(10);
  assert.deepEqual(heard, ["accept\na", "a"]);
  assert.equal(first.kept, true);
});

test("who sees to it and fails hears so; the rest goes with the next one", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  const first = watch(leave("a"));
  leave("b");
  await pass(10);
  await answer(new Error("reset"));
  assert.equal(first.broken, "reset");
  const again = tell("a");
  await answer("{}\n{}\n{}");
  assert.equal(await again, "{}");
  assert.deepEqual(heard, ["a\nb", "a\na\nb"]);
  const next = watch(leave("c"));
  await pass(10);
  await answer("{}");
  await pass(10);
  assert.equal(next.kept, true, "somebody sees to it again");
});

test("who has settled isn't held by a failure of the others' settles; the next one takes them over", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  await pass(10);
  leave("b");
  await answer("{}");
  await pass(10);
  await answer(new Error("reset"));
  assert.deepEqual(first, { kept: true, broken: undefined });
  const next = watch(leave("c"));
  await pass(10);
  assert.deepEqual(heard, ["a", "b", "b\nc"]);
  await answer("{}\n{}");
  await pass(10);
  assert.equal(next.kept, true);
});

test("what went with somebody who doesn't come back goes again", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  const first = watch(leave("a"));
  tell("accept");
  assert.deepEqual(heard, ["accept\na"]);
  await pass(2_000);
  assert.deepEqual(heard, ["accept\na"]);
  await pass(20);
  assert.deepEqual(heard, ["accept\na", "a"]);
  await answer("{}\n{}");
  await answer("{}");
  await pass(10);
  assert.equal(first.kept, true);
});

test("one who is held up by the outbox gets no more, and the next one sees to it", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const stuck = watch(leave("a"));
  await pass(10);
  leave("b");
  await pass(2_010);
  const next = watch(leave("c"));
  assert.ok(leave("d") === undefined);
  await pass(10);
  assert.deepEqual(heard, ["a", "b\nc\nd"]);
  await answer("{}");
  await answer("{}\n{}\n{}");
  await pass(10);
  assert.deepEqual([stuck.kept, next.kept], [true, true]);
});

test("under steady load somebody else takes over after twenty looks", async (t) => {
  const { answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  for (let looks = 1; looks < 20; looks += 1) {
    await pass(10);
    assert.equal(leave("x"), undefined, `look ${looks}`);
    await answer("{}");
  }
  await pass(10);
  assert.notEqual(leave("y"), undefined);
  await answer("{}");
  await pass(10);
  assert.equal(first.kept, true);
});

test("what the outbox couldn't store is brought once more, and then its sender hears so", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  leave("b");
  leave("c");
  await pass(10);
  await answer("null\n{}\nnull");
  await pass(10);
  await answer("null\nnull");
  await pass(10);
  assert.deepEqual(heard, ["a\nb\nc", "a\nc"]);
  assert.equal(first.broken, "it could not be stored");
});

test("an outbox that takes nothing for long gets no endless bag", async (t) => {
  const { leave } = outbox(t);
  leave("x".repeat(1024 * 1024));
  assert.notEqual(leave("b"), undefined);
});
