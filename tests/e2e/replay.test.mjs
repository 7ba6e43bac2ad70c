/** Sending again: one delivery, or many; and what is forgotten in the end. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { assertBooksBalance } from "./support/api.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

const DAY_MS = 86_400_000;
const inputs = (count, from = 0) => Array.from({ length: count }, (_, n) => ({ record: contact(`${from + n}`) }));
const replayOf = (workflow, id, json) => api.expect(202, "POST", `/v1/workflows/${workflow}/deliveries/${id}/replay`, json);

describe("a replay of one delivery", { concurrency: true }, () => {
  it("sends the very request again, by a new delivery that names the old one", async () => {
    const endpoint = receiver.endpoint("/again", 404, 200);
    await api.workflow("again", oneAction(endpoint.url));
    const { id } = await api.enroll("again", contact("51", { email: "ada@example.com" }));
    const old = await api.settled("again", id, "rejected");
    // Nothing of this counts: the request is the old one's.
    await api.workflow("again", oneAction(endpoint.url, { body: { kind: "text", content_type: "text/plain", template: "new" } }));
    const made = await replayOf("again", old.id);
    assert.deepEqual([made.replay_of, made.enrollment, made.action, made.record], [old.id, id, "tell", "51"]);
    assert.notEqual(made.id, old.id);
    await endpoint.waitFor(2);
    const [first, second] = endpoint.requests;
    assert.equal(second.text, first.text);
    assert.equal(second.headers["webhook-id"], made.id);
    assert.equal(second.headers["varde-attempt"], "1");

    await api.drained("again");
    const enrollment = await api.enrollment("again", id);
    assert.deepEqual(enrollment.deliveries.map((one) => [one.id, one.status, one.replay_of, one.replayed_by]), [
      [old.id, "rejected", undefined, made.id],
      [made.id, "delivered", old.id, undefined],
    ]);
    const stats = await api.stats("again");
    assert.deepEqual([stats.accepted, stats.rejected, stats.delivered], [2, 1, 1]);
  });

  it("renders the action as it is now, if told so", async () => {
    const endpoint = receiver.endpoint("/rerendered", { status: 200, body: '{"order": 7}', headers: { "content-type": "application/json" } });
    const action = (template) => ({ outputs: [{ name: "order", pointer: "/order", type: "number" }], body: { kind: "json", template } });
    const two = (template) => {
      const workflow = oneAction(endpoint.url, action({ a: "{{ properties.email }}" }));
      return { ...workflow, actions: [workflow.actions[0], { ...workflow.actions[0], id: "then", ...action(template) }] };
    };
    await api.workflow("rerendered", two({ old: "{{ outputs.tell.order }}" }));
    const { id } = await api.enroll("rerendered", contact(), { event: { n: 3 } });
    await api.ended("rerendered", id);
    const { deliveries } = await api.enrollment("rerendered", id);
    await api.workflow("rerendered", two({ mail: "{{ properties.email }}", n: "{{ event.n }}", order: "{{ outputs.tell.order }}" }));
    await replayOf("rerendered", deliveries[1].id, { render: "current" });
    await endpoint.waitFor(3);
    assert.deepEqual(JSON.parse(endpoint.requests[2].text), { mail: "ada@example.com", n: 3, order: 7 });
  });

  it("is refused with the reason where it can't be", async () => {
    const endpoint = receiver.endpoint("/refused", { fault: "hold" });
    await api.workflow("refused", oneAction(endpoint.url));
    const { id } = await api.enroll("refused", contact());
    await endpoint.waitForHeld(1);
    const { deliveries: [open] } = await api.enrollment("refused", id);
    const path = `/v1/workflows/refused/deliveries/${open.id}/replay`;
    assert.equal((await api.refused(409, "POST", path)).code, "delivery_open");
    assert.deepEqual((await api.refused(422, "POST", path, { render: "newest" })).errors.map(({ pointer }) => pointer), ["/render"]);
    await api.refused(404, "POST", `/v1/workflows/refused/deliveries/dlv_${"0".repeat(26)}/replay`);
    await api.refused(404, "POST", "/v1/workflows/refused/deliveries/x/replay");
    endpoint.release(200);
    await api.drained("refused");
    await api.workflow("refused", oneAction(endpoint.url, { id: "other" }));
    assert.equal((await api.refused(409, "POST", path, { render: "current" })).code, "workflow_changed");
    const reader = (await api.expect(201, "POST", "/v1/tokens", { scope: "read" })).token;
    await api.as(reader).refused(403, "POST", path);
  });

  it("of what had nothing to send needs a new rendering", async () => {
    const endpoint = receiver.endpoint("/nothing");
    const workflow = (value) => {
      const { actions: [action], ...rest } = oneAction(endpoint.url, { outputs: [{ name: "order", pointer: "/order", type: "number" }] });
      return { ...rest, actions: [action, { ...action, id: "then", outputs: [], body: { kind: "properties", fields: [{ name: "x", value }] } }] };
    };
    await api.workflow("nothing", workflow({ output: "tell.order" }));
    const { id } = await api.enroll("nothing", contact());
    const unsent = await api.settled("nothing", id, "rejected", "then");
    assert.equal(unsent.reason, "missing_output");
    const path = `/v1/workflows/nothing/deliveries/${unsent.id}/replay`;
    assert.equal((await api.refused(409, "POST", path)).code, "nothing_to_send");
    await api.workflow("nothing", workflow({ property: "email" }));
    await replayOf("nothing", unsent.id, { render: "current" });
    await endpoint.waitFor(2);
    assert.deepEqual(JSON.parse(endpoint.requests[1].text), { x: "ada@example.com" });
  });
});

const path = (workflow, rest = "") => `/v1/workflows/${workflow}/replays${rest}`;
const done = (workflow, id) =>
  until(`replay ${id} to be done`, async () => {
    const found = await api.get(path(workflow, `/${id}`));
    return found.status !== "running" && found.open === 0 && found;
  });

/** Deliveries that were all refused for good, over four shards. */
async function rejected(workflow, endpoint, count) {
  await api.workflow(workflow, oneAction(endpoint.url, { timeout_ms: 10_000 }, { shards: 4 }));
  for (let from = 0; from < count; from += 100) await api.enrollBatch(workflow, inputs(Math.min(100, count - from), from));
  assert.equal((await api.drained(workflow)).rejected, count);
}

describe("a bulk replay", { concurrency: true }, () => {
  it("counts in a dry run, and then sends again all that match, in all shards", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/bulk", () => (down ? 404 : 200));
    await rejected("bulk", endpoint, 250);
    const before = endpoint.requests.length;
    const dry = await api.expect(200, "POST", path("bulk"), { status: "rejected", dry_run: true });
    assert.deepEqual([dry.dry_run, dry.matched], [true, 250]);
    for (const status of ["delivered", "exhausted", "canceled"]) {
      assert.equal((await api.expect(200, "POST", path("bulk"), { status, dry_run: true })).matched, 0, status);
    }
    assert.equal(endpoint.requests.length, before, "nothing is sent");
    assert.deepEqual((await api.get(path("bulk"))).items, []);

    down = false;
    const started = await api.expect(202, "POST", path("bulk"), { status: "rejected", action: "tell" });
    assert.equal(started.matched, 250);
    const found = await done("bulk", started.id);
    assert.deepEqual([found.status, found.replayed, found.skipped, found.delivered], ["done", 250, 0, 250]);
    const records = endpoint.requests.slice(before).map(({ text }) => JSON.parse(text).vid ?? JSON.parse(text)["canonical-vid"]);
    assert.equal(new Set(records).size, 250);
    assert.equal((await api.deliveries("bulk", { replay: started.id, limit: 100 })).length, 250);
    assertBooksBalance(await api.stats("bulk"));

    // A second one finds that all of them stand behind their replays.
    assert.equal((await api.expect(200, "POST", path("bulk"), { status: "rejected", dry_run: true })).matched, 0);
    assert.deepEqual((await api.get(path("bulk"))).items.map(({ id }) => id), [started.id]);
  });

  it("takes those of a span of time, and those that used up their window", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/bulk-span", () => (down ? 503 : 200));
    const retry = { first_ms: 2_000, factor: 1, max_ms: 2_000, max_age_ms: 4_500, jitter: 0 };
    await api.workflow("bulk-span", oneAction(endpoint.url, { retry }));
    const first = await api.enroll("bulk-span", contact("1"));
    const old = await api.settled("bulk-span", first.id, "exhausted");
    down = false;
    const { id } = await api.enroll("bulk-span", contact("2"));
    await api.ended("bulk-span", id);
    const order = { status: "exhausted", since: old.created_at, until: old.created_at + 1 };
    assert.equal((await api.expect(200, "POST", path("bulk-span"), { ...order, since: 0, until: old.created_at, dry_run: true })).matched, 0);
    const started = await api.expect(202, "POST", path("bulk-span"), order);
    const found = await done("bulk-span", started.id);
    assert.deepEqual([found.matched, found.replayed, found.delivered], [1, 1, 1]);
    assert.deepEqual(found.filter, order);
    assert.equal((await api.deliveryOf("bulk-span", first.id, 1)).replay, started.id);
  });

  it("can be canceled: what isn't sent yet isn't sent", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/bulk-canceled", () => (down ? 404 : 200));
    const rate_limit = { requests: 20, per_ms: 1_000 };
    await rejected("bulk-canceled", endpoint, 100);
    await api.workflow("bulk-canceled", oneAction(endpoint.url, { rate_limit }, { shards: 4 }));
    down = false;
    const before = endpoint.requests.length;
    const { id } = await api.expect(202, "POST", path("bulk-canceled"), { status: "rejected" });
    await endpoint.waitFor(before + 10);
    const canceled = await api.done("POST", path("bulk-canceled", `/${id}/cancel`));
    assert.equal(canceled.status, "canceled");
    const found = await done("bulk-canceled", id);
    assert.equal(found.replayed, found.delivered + found.canceled);
    assert.ok(found.delivered >= 10 && found.delivered < 100, `${found.delivered} were sent, no faster than the limit`);
    assert.equal(endpoint.requests.length, before + found.delivered);
    await api.drained("bulk-canceled");
    assert.equal((await api.refused(409, "POST", path("bulk-canceled", `/${id}/cancel`))).code, "replay_ended");
  });

  it("that is canceled while its deliveries wait in line leaves the books balanced", async () => {
    const endpoint = receiver.endpoint("/bulk-lines", 404);
    await api.workflow("bulk-lines", oneAction(endpoint.url, {}, { ordering: "record" }));
    await api.enrollBatch("bulk-lines", Array.from({ length: 40 }, (_, n) => ({ record: contact(`${n % 4}`) })));
    assert.equal((await api.drained("bulk-lines")).rejected, 40);
    await api.done("POST", "/v1/workflows/bulk-lines/pause");
    const { id } = await api.expect(202, "POST", path("bulk-lines"), { status: "rejected" });
    await until("all to be replayed", async () => (await api.get(path("bulk-lines", `/${id}`))).replayed === 40);
    const found = await api.done("POST", path("bulk-lines", `/${id}/cancel`));
    assert.deepEqual([found.canceled, found.open], [40, 0]);
    const stats = await api.stats("bulk-lines");
    assertBooksBalance(stats);
    assert.deepEqual([stats.canceled, stats.open], [40, 0]);
    await api.done("POST", "/v1/workflows/bulk-lines/resume");
    await api.expect(204, "DELETE", "/v1/workflows/bulk-lines");
  });

  it("names all mistakes of an order", async () => {
    await api.workflow("misordered", oneAction(receiver.endpoint("/misordered").url));
    const problem = await api.refused(422, "POST", path("misordered"), { status: "open", since: 9, until: 3, dry_run: "no", x: 1 });
    assert.deepEqual(problem.errors.map(({ pointer }) => pointer), ["/x", "/status", "/until", "/dry_run"]);
    await api.refused(404, "POST", path("unknown"), { status: "rejected" });
    await api.refused(404, "GET", path("misordered", `/rpl_${"0".repeat(26)}`));
    await api.refused(404, "POST", path("misordered", "/x/cancel"));
  });
});

describe("a bulk replay that was canceled before anything was sent", () => {
  it("stands in nobody's way: it can be ordered again, and each is sent once", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/ordered-again", () => (down ? 404 : 200));
    await rejected("ordered-again", endpoint, 20);
    down = false;
    await api.expect(200, "POST", "/v1/workflows/ordered-again/pause");
    const { id } = await api.expect(202, "POST", path("ordered-again"), { status: "rejected" });
    await until("all to be held", async () => (await api.get(path("ordered-again", `/${id}`))).replayed === 20);
    await api.done("POST", path("ordered-again", `/${id}/cancel`));
    const [first] = await api.deliveries("ordered-again", { status: "rejected" });
    // Behind a replay that is sent, and one that is canceled, the first of them counts.
    const single = await replayOf("ordered-again", first.id);
    const second = await replayOf("ordered-again", first.id);
    await api.done("POST", `/v1/workflows/ordered-again/deliveries/${second.id}/cancel`);
    assert.equal((await api.delivery("ordered-again", first.id)).replayed_by, single.id);
    await api.expect(200, "POST", "/v1/workflows/ordered-again/resume");
    await api.drained("ordered-again");

    const canceled = await api.expect(200, "POST", path("ordered-again"), { status: "canceled", dry_run: true });
    assert.equal(canceled.matched, 0, "a replay that was never begun stands for nothing");
    const again = await api.expect(202, "POST", path("ordered-again"), { status: "rejected" });
    const found = await done("ordered-again", again.id);
    assert.deepEqual([found.matched, found.replayed, found.delivered], [19, 19, 19]);
    assert.equal(endpoint.requests.filter(({ answered }) => answered === 200).length, 20);
  });
});

// By itself: the kill would meet the other stories.
describe("a bulk replay and a kill -9", () => {
  it("it goes on, and sends each once more", async () => {
    let down = true;
    const endpoint = receiver.endpoint("/bulk-killed", () => (down ? 404 : { status: 200, delayMs: 20 }));
    await rejected("bulk-killed", endpoint, 400);
    down = false;
    const before = endpoint.requests.length;
    const { id } = await api.expect(202, "POST", path("bulk-killed"), { status: "rejected" });
    await endpoint.waitFor(before + 100);
    await runtime.kill9();
    await runtime.restart();
    const found = await done("bulk-killed", id);
    assert.deepEqual([found.status, found.matched, found.replayed, found.delivered], ["done", 400, 400, 400]);
    const ids = endpoint.requests.slice(before).map(({ headers }) => headers["webhook-id"]);
    assert.equal(new Set(ids).size, 400);
    assert.ok(ids.length - 400 <= 4 * 64, "duplicates are at most the leases that were out");
  });
});
