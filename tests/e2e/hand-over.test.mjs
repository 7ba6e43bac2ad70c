// Settles that are handed over from request to request, as `src/platform.mjs` does it: nothing is lost or doubled
// by who brings them, whatever the outbox answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { handOverSettle, isSettledWith, settle } from "../../src/platform.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const text = (array) => new TextDecoder().decode(array);

/** An env whose outbox answers when it is told to: `heard` has the texts that came, `answer` resolves the oldest. */
function outbox() {
  const heard = [];
  const open = [];
  const exchange = (lines) => {
    heard.push(text(lines));
    return new Promise((resolve, reject) => open.push({ resolve, reject }));
  };
  const answer = async (reply) => {
    const { resolve, reject } = open.shift();
    if (reply instanceof Error) reject(reply);
    else resolve(bytes(reply));
    await new Promise(setImmediate);
  };
  return { env: { OUTBOX: { getByName: () => ({ exchange }) } }, heard, answer };
}

test("who settles takes the settles of others along, in one exchange for all that wait", async () => {
  const { env, heard, answer } = outbox();
  assert.equal(handOverSettle("w/0", bytes("early")), false, "nobody settles");
  const leading = settle(env, "w/0", bytes("a"));
  assert.deepEqual(heard, ["a"]);
  assert.ok(handOverSettle("w/0", bytes("b")) && handOverSettle("w/0", bytes("c")));
  assert.equal(handOverSettle("w/1", bytes("other")), false, "another outbox");
  await answer('{"at":"A"}');
  assert.deepEqual(heard, ["a", "b\nc"]);
  assert.ok(handOverSettle("w/0", bytes("d")), "while the second exchange is under way");
  await answer("{}\n{}");
  await answer("{}");
  assert.equal(text(await leading), '{"at":"A"}');
  assert.deepEqual(heard, ["a", "b\nc", "d"]);
  assert.equal(isSettledWith("w/0"), false);
});

test("what was handed over stays when the exchange fails, and goes with the next try", async () => {
  const { env, heard, answer } = outbox();
  const failed = assert.rejects(settle(env, "w/0", bytes("a")), /reset/);
  handOverSettle("w/0", bytes("b"));
  await answer(new Error("reset"));
  await failed;
  assert.ok(handOverSettle("w/0", bytes("c")), "who led tries again");
  const again = settle(env, "w/0", bytes("a"));
  await answer('{"at":"A"}\n{}\n{}');
  assert.equal(text(await again), '{"at":"A"}');
  assert.deepEqual(heard, ["a", "a\nb\nc"]);
});

test("who has settled isn't held by a failure of the others' settles; the next one takes them", async () => {
  const { env, heard, answer } = outbox();
  const first = settle(env, "w/0", bytes("a"));
  handOverSettle("w/0", bytes("b"));
  await answer('{"at":"A"}');
  await answer(new Error("reset"));
  assert.equal(text(await first), '{"at":"A"}');
  const next = settle(env, "w/0", bytes("c"));
  await answer('{"at":"C"}\n{}');
  assert.equal(text(await next), '{"at":"C"}');
  assert.deepEqual(heard, ["a", "b", "c\nb"]);
});

test("one that waits for the outbox too long gets no more, and the next one takes over", async (t) => {
  t.mock.timers.enable({ apis: ["Date"] });
  const { env, heard, answer } = outbox();
  const stuck = settle(env, "w/0", bytes("a"));
  handOverSettle("w/0", bytes("b"));
  t.mock.timers.tick(2_001);
  assert.equal(handOverSettle("w/0", bytes("c")), false);
  const next = settle(env, "w/0", bytes("c"));
  assert.deepEqual(heard, ["a", "c\nb"]);
  await answer('{"at":"A"}');
  assert.equal(text(await stuck), '{"at":"A"}');
  assert.ok(handOverSettle("w/0", bytes("d")), "to the one that took over");
  await answer('{"at":"C"}\n{}');
  await answer("{}");
  assert.equal(text(await next), '{"at":"C"}');
  assert.equal(isSettledWith("w/0"), false);
});

test("under steady load somebody else takes over after twenty exchanges", async () => {
  const { env, answer } = outbox();
  const first = settle(env, "w/0", bytes("a"));
  for (let i = 0; i < 20; i += 1) {
    assert.ok(handOverSettle("w/0", bytes("x")), String(i));
    await answer("{}");
  }
  assert.equal(handOverSettle("w/0", bytes("y")), false);
  await answer("{}");
  assert.equal(text(await first), "{}");
});

test("who gets something to do goes to it at once, and what waits is settled all the same", async () => {
  const { env, heard, answer } = outbox();
  const first = settle(env, "w/0", bytes("a"));
  handOverSettle("w/0", bytes("b"));
  await answer('{"work":{"send":{}}}');
  assert.equal(text(await first), '{"work":{"send":{}}}');
  assert.deepEqual(heard, ["a", "b"]);
  assert.equal(isSettledWith("w/0"), false);
  await answer("{}");
});

test("what the outbox couldn't store is brought once more", async () => {
  const { env, heard, answer } = outbox();
  const first = settle(env, "w/0", bytes("a"));
  handOverSettle("w/0", bytes("b"));
  handOverSettle("w/0", bytes("c"));
  await answer("{}");
  await answer("null\n{}");
  await answer("null");
  assert.deepEqual(heard, ["a", "b\nc", "b"]);
  assert.equal(text(await first), "{}");
});
