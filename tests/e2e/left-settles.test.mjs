// Settles that are left for whoever goes to the outbox next, as `src/outbox.mjs` does it: nothing is lost or doubled
// by who brings them, whatever the outbox answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { leave, tell } from "../../src/outbox.mjs";

/** How often the one who sees to what is left looks. */
const LOOK = 25;

const bytes = (text) => new TextEncoder().encode(text);
const text = (array) => new TextDecoder().decode(array);
const turn = () => new Promise(setImmediate);

/** An outbox that answers when it is told to, and time that passes when it is told to. */
function outbox(t) {
  t.mock.timers.enable({ apis: ["Date", "setTimeout"], now: 1_000_000 });
  const heard = [];
  const open = [];
  const tellOutbox = (messages) => {
    heard.push(messages.map(text).join("\n"));
    return new Promise((resolve, reject) => open.push({ resolve, reject }));
  };
  /** Answers the oldest, or the one `at` that place. */
  const answer = async (reply, at = 0) => {
    const [{ resolve, reject }] = open.splice(at, 1);
    if (reply instanceof Error) reject(reply);
    else resolve(reply.split("\n").map(bytes));
    await turn();
  };
  const pass = async (ms) => {
    for (let left = ms; left > 0; left -= 5) {
      t.mock.timers.tick(Math.min(left, 5));
      await turn();
    }
  };
  // Each test has outboxes of its own: what is left is kept by name.
  const name = `${t.name}/0`;
  const env = { OUTBOX: { getByName: () => ({ tell: tellOutbox }) } };
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

test("who goes to the outbox takes along what is left, before its own, and hears the reply to that", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  const first = watch(leave("a"));
  assert.equal(leave("b"), undefined, "the first one sees to it");
  const told = tell("accept");
  assert.deepEqual(heard, ["a\nb\naccept"]);
  await answer('{}\n{}\n{"own":1}');
  assert.equal(await told, '{"own":1}');
  await pass(LOOK);
  assert.equal(first.kept, true);
  assert.deepEqual(heard, ["a\nb\naccept"], "nothing goes twice");
  assert.notEqual(leave("c"), undefined, "nobody sees to anything any more");
});

test("when nobody goes there, all goes together after a moment", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  leave("b");
  assert.deepEqual(heard, []);
  await pass(LOOK);
  assert.deepEqual(heard, ["a\nb"]);
  leave("c");
  assert.equal(first.kept, false);
  await answer("{}\n{}");
  await pass(LOOK);
  await answer("{}");
  assert.deepEqual(heard, ["a\nb", "c"]);
  await pass(LOOK);
  assert.equal(first.kept, true);
});

test("what was left a moment ago still waits for somebody", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  leave("a");
  const told = tell("accept");
  await answer("{}\n{}");
  await told;
  await pass(15);
  leave("b");
  await pass(10);
  assert.deepEqual(heard, ["a\naccept"]);
  await pass(LOOK);
  assert.deepEqual(heard, ["a\naccept", "b"]);
});

test("what failed with somebody waits again, and holds up nobody else", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  const first = watch(leave("a"));
  const told = assert.rejects(tell("accept"), /reset/);
  await answer(new Error("reset"));
  await told;
  const again = tell("accept");
  await answer("{}");
  assert.equal(await again, "{}");
  await pass(LOOK);
  await answer("{}");
  await pass(LOOK);
  assert.deepEqual(heard, ["a\naccept", "accept", "a"]);
  assert.equal(first.kept, true);
});

test("who sees to it goes again and again, less and less often, for the others as for itself", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  await pass(LOOK);
  leave("b");
  await answer("{}");
  await pass(LOOK);
  for (const gap of [2 * LOOK, 4 * LOOK, 8 * LOOK]) {
    await answer(new Error("reset"));
    const before = heard.length;
    await pass(gap - LOOK);
    assert.equal(heard.length, before, `not before ${gap} ms`);
    await pass(LOOK);
    assert.equal(heard.at(-1), "b");
  }
  assert.equal(leave("c"), undefined);
  await answer("{}");
  await pass(LOOK);
  await answer("{}");
  await pass(LOOK);
  assert.deepEqual(heard.slice(-2), ["b", "c"]);
  assert.equal(first.kept, true);
});

test("an outbox that fails for long makes who sees to it give up, and its sender hears so", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  for (let failures = 0; failures < 20; failures += 1) {
    await pass(1_000);
    assert.equal(first.broken, undefined);
    await answer(new Error("reset"));
  }
  assert.equal(first.broken, "a settle could not be stored");
  const next = watch(leave("b"));
  await pass(LOOK);
  assert.equal(heard.at(-1), "b", "nothing is left of before");
  await answer("{}");
  await pass(LOOK);
  assert.equal(next.kept, true);
});

test("what went with somebody who doesn't come back goes again", async (t) => {
  const { heard, answer, pass, tell, leave } = outbox(t);
  const first = watch(leave("a"));
  tell("accept");
  assert.deepEqual(heard, ["a\naccept"]);
  await pass(2_000);
  assert.deepEqual(heard, ["a\naccept"]);
  await pass(LOOK);
  assert.deepEqual(heard, ["a\naccept", "a"]);
  await answer("{}", 1);
  await pass(LOOK);
  assert.equal(first.kept, true);
  await answer("{}\n{}");
});

test("when who sees to it is held up by the outbox, the next one takes over, and nothing is lost", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const stuck = watch(leave("a"));
  await pass(LOOK);
  leave("b");
  await pass(2_010);
  const next = watch(leave("c"));
  assert.ok(leave("d") === undefined);
  await pass(LOOK);
  // The first one may be gone, and its settle with it.
  assert.deepEqual(heard, ["a", "b\nc\nd\na"]);
  await answer(new Error("reset"));
  await answer("{}\n{}\n{}\n{}");
  await pass(3 * LOOK);
  assert.deepEqual([stuck.kept, next.kept], [true, true]);
  assert.equal(heard.length, 2);
});

test("under steady load somebody else takes over after twenty looks; what fails then isn't lost", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  for (let looks = 1; looks < 20; looks += 1) {
    await pass(LOOK);
    assert.equal(leave("x"), undefined, `look ${looks}`);
    await answer("{}");
  }
  leave("y");
  await pass(LOOK);
  const second = watch(leave("z"));
  await answer(new Error("reset"));
  assert.deepEqual(first, { kept: true, broken: undefined });
  await pass(LOOK);
  assert.equal(heard.at(-1), "z\nx\ny");
  await answer("{}\n{}\n{}");
  await pass(LOOK);
  assert.equal(second.kept, true);
});

test("what the outbox couldn't store is brought once more, and then its sender hears so", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const first = watch(leave("a"));
  leave("b");
  leave("c");
  await pass(LOOK);
  await answer("null\n{}\nnull");
  await pass(LOOK);
  await answer("null\nnull");
  await pass(LOOK);
  assert.deepEqual(heard, ["a\nb\nc", "a\nc"]);
  assert.equal(first.broken, "a settle could not be stored");
});

test("when much is left, who comes then goes alone", async (t) => {
  const { heard, answer, pass, leave } = outbox(t);
  const much = "x".repeat(1024 * 1024);
  const first = watch(leave(much));
  const next = watch(leave("b"));
  assert.deepEqual(heard, ["b"]);
  await answer("{}");
  assert.equal(next.kept, true);
  const refused = watch(leave("c"));
  await answer("null");
  assert.equal(refused.broken, "a settle could not be stored");
  await pass(LOOK);
  await answer("{}");
  await pass(LOOK);
  assert.deepEqual(heard, ["b", "c", much]);
  assert.equal(first.kept, true);
});
