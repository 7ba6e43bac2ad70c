/** What happens when the other side is down, slow, wrong or gone. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Signature } from "@hubspot/api-client";

import { makeAuthority } from "./support/ca.mjs";
import { Receiver } from "./support/receiver.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, authority } = await stage();

/** How long the way of an answer into the log may take, since a plan may count from there. */
const LATENESS_MS = 5_000;

/** Enrolls one record in a workflow of one action. */
async function begin(id, endpoint, action) {
  await api.workflow(id, oneAction(endpoint.url, action));
  return (await api.enroll(id, contact())).id;
}

/**
 * The gap before the next attempt, as the receiver saw it and as the log planned it. Neither may be shorter
 * than asked; the plan may not be longer either, by more than the way of the answer into the log.
 */
function assertGap(earlier, later, attempt, least_ms, most_ms = least_ms) {
  const seen_ms = later.at - (earlier.answeredAt ?? earlier.at);
  assert.ok(seen_ms >= least_ms, `attempt ${attempt.number + 1} came after ${seen_ms} ms, before ${least_ms} ms were over`);
  assertPlanned(attempt, least_ms, most_ms);
  assert.ok(later.at >= attempt.next_due, `attempt ${attempt.number + 1} came at ${later.at}, before its due ${attempt.next_due}`);
}

function assertPlanned(attempt, least_ms, most_ms = least_ms) {
  const planned_ms = attempt.next_due - (attempt.started_at + attempt.duration_ms);
  assert.ok(
    planned_ms >= least_ms && planned_ms <= most_ms + LATENESS_MS,
    `after attempt ${attempt.number} a gap of ${planned_ms} ms is planned, expected ${least_ms} to ${most_ms}`,
  );
}

describe("an endpoint that is down for a while", { concurrency: true }, () => {
  it("gets the same webhook again until it takes it: 503, 503, 200", async () => {
    await api.secret("fresh", "client-secret");
    const endpoint = receiver.endpoint("/thrice", 503, 503, 200);
    const enrollment = await begin("thrice", endpoint, {
      auth: { type: "hubspot_signature", secret: "fresh" },
      retry: { first_ms: 400, factor: 2, max_ms: 10_000, jitter: 0.2 },
    });
    const delivery = await api.settled("thrice", enrollment, "delivered");
    const { requests } = endpoint;

    assert.equal(requests.length, 3);
    assert.deepEqual(delivery.attempts.map(({ number, verdict, status }) => [number, verdict, status]), [
      [1, "retry", 503],
      [2, "retry", 503],
      [3, "delivered", 200],
    ]);
    assertGap(requests[0], requests[1], delivery.attempts[0], 400, 480);
    assertGap(requests[1], requests[2], delivery.attempts[1], 800, 960);

    for (const [index, request] of requests.entries()) {
      const { headers } = request;
      assert.equal(headers["webhook-id"], delivery.id);
      assert.equal(headers["varde-attempt"], `${index + 1}`);
      assert.deepEqual(request.body, requests[0].body);
      assert.equal(request.target, requests[0].target);

      // Fresh: the stamps are from after the attempt before, and the signature is over them.
      const earliest = index === 0 ? delivery.created_at : requests[index - 1].answeredAt;
      const stamp = Number(headers["x-hubspot-request-timestamp"]);
      assert.ok(earliest <= stamp && stamp <= request.at, `${earliest} ≤ ${stamp} ≤ ${request.at}`);
      const seconds = Number(headers["webhook-timestamp"]);
      assert.ok(Math.floor(earliest / 1000) <= seconds && seconds <= Math.floor(request.at / 1000));
      assert.ok(
        Signature.isValid({
          signatureVersion: "v3",
          signature: headers["x-hubspot-signature-v3"],
          clientSecret: "client-secret",
          method: request.method,
          url: request.url,
          requestBody: request.text,
          timestamp: stamp,
        }),
      );
    }
    assert.equal(new Set(requests.map(({ headers }) => headers["x-hubspot-signature-v3"])).size, 3);
    assert.equal(new Set(requests.map(({ headers }) => headers["x-hubspot-request-timestamp"])).size, 3);
  });

  it("gets its gaps shortened, not lengthened, by the dice once they are at their longest", async () => {
    const endpoint = receiver.endpoint("/cap", 500, 500, 500, 200);
    const enrollment = await begin("cap", endpoint, { retry: { first_ms: 300, factor: 10, max_ms: 600, jitter: 0.5 } });
    const { attempts } = await api.settled("cap", enrollment, "delivered");
    const [first, second, third, fourth] = endpoint.requests;
    assertGap(first, second, attempts[0], 300, 450);
    assertGap(second, third, attempts[1], 300, 600);
    assertGap(third, fourth, attempts[2], 300, 600);
  });

  it("gets every kind of server error repeated, and its Retry-After is for 429 and 503 only", async () => {
    const statuses = [500, 501, 502, 504, 505, 520, 522, 530];
    const hour = { "retry-after": "3600000" };
    const endpoint = receiver.endpoint("/server-errors", ...statuses.map((status) => ({ status, headers: hour })), 200);
    const enrollment = await begin("server-errors", endpoint);
    const { attempts } = await api.settled("server-errors", enrollment, "delivered");
    assert.deepEqual(attempts.map(({ status }) => status), [...statuses, 200]);
  });

  it("is given up when the window is used up, after the whole schedule", async () => {
    const endpoint = receiver.endpoint("/never", 503);
    const retry = { first_ms: 200, factor: 2, max_ms: 800, max_age_ms: 4_400, jitter: 0 };
    const gaps = [200, 400, 800, 800, 800, 800, 800];
    const enrollment = await begin("never", endpoint, { retry });
    const delivery = await api.settled("never", enrollment, "exhausted");
    const { attempts } = delivery;

    assert.equal(delivery.reason, "window_used_up");
    assert.equal(delivery.next_due, undefined);
    assert.equal(endpoint.requests.length, attempts.length);
    // Seven attempts are what fits into 4.4 s; a slow machine may get fewer in, but no machine more.
    assert.ok(attempts.length >= 3 && attempts.length <= 7, `${attempts.length} attempts`);
    for (let n = 1; n < attempts.length; n++) {
      assertGap(endpoint.requests[n - 1], endpoint.requests[n], attempts[n - 1], gaps[n - 1]);
      assert.ok(attempts[n - 1].next_due <= attempts[0].started_at + retry.max_age_ms, "no attempt is planned after the window");
    }
    const another = delivery.settled_at + gaps[attempts.length - 1];
    assert.ok(another > delivery.created_at + retry.max_age_ms, "it isn't given up while another attempt fits");
    // On a slow machine the last one planned may have come too late, and was not made: that is the rule.
    const missed = delivery.settled_at > attempts[0].started_at + retry.max_age_ms;
    assert.ok(missed || attempts.at(-1).next_due === undefined, "nothing is planned that isn't made");

    const stats = await api.drained("never");
    assert.equal(stats.exhausted, 1);
  });
});

describe("an endpoint that asks for time", { concurrency: true }, () => {
  for (const [id, unit, value, gap_ms] of [
    ["after-ms", undefined, "1500", 1_500],
    ["after-seconds", "seconds", "2", 2_000],
  ]) {
    it(`gets ${gap_ms} ms for a 429 with Retry-After: ${value}${unit ? ` in ${unit}` : ""}`, async () => {
      const endpoint = receiver.endpoint(`/${id}`, { status: 429, headers: { "retry-after": value } }, 200);
      const enrollment = await begin(id, endpoint, { retry: { ...quickly, ...(unit && { retry_after_unit: unit }) } });
      const { attempts } = await api.settled(id, enrollment, "delivered");
      assert.equal(attempts.length, 2);
      assertGap(endpoint.requests[0], endpoint.requests[1], attempts[0], gap_ms);
    });
  }

  it("gets its time until the date in a 503", async () => {
    let date;
    const inThreeSeconds = () => {
      date = new Date(Math.floor(Date.now() / 1000) * 1000 + 3_000);
      return { status: 503, headers: { "retry-after": date.toUTCString() } };
    };
    const endpoint = receiver.endpoint("/after-date", inThreeSeconds, 200);
    const enrollment = await begin("after-date", endpoint);
    const { attempts } = await api.settled("after-date", enrollment, "delivered");
    assert.ok(endpoint.requests[1].at >= date.getTime(), `${endpoint.requests[1].at} is before ${date.getTime()}`);
    assertPlanned(attempts[0], 0, 3_000);
  });
});

describe("an endpoint that refuses", { concurrency: true }, () => {
  for (const status of [400, 401, 404, 408, 422]) {
    it(`isn't called again after a ${status}`, async () => {
      const endpoint = receiver.endpoint(`/refuses-${status}`, status);
      const enrollment = await begin(`refuses-${status}`, endpoint);
      const delivery = await api.settled(`refuses-${status}`, enrollment, "rejected");
      assert.equal(delivery.reason, `http_${status}`);
      assert.equal(delivery.next_due, undefined);
      assert.deepEqual(delivery.attempts.map(({ status, verdict }) => [status, verdict]), [[status, "reject"]]);
      assert.equal(endpoint.requests.length, 1);
      const stats = await api.drained(`refuses-${status}`);
      assert.equal(stats.rejected, 1);
    });
  }

  it("is called again after a 408 that the action wants repeated", async () => {
    const endpoint = receiver.endpoint("/also", 408, 200);
    const enrollment = await begin("also", endpoint, { retry: { ...quickly, also_retry: [408] } });
    const { attempts } = await api.settled("also", enrollment, "delivered");
    assert.equal(attempts.length, 2);
  });

  it("is left alone after a 410: its action is paused with a reason, and goes on when a person says so", async () => {
    const endpoint = receiver.endpoint("/gone", 410, 200);
    const enrollment = await begin("gone", endpoint);
    const delivery = await api.settled("gone", enrollment, "rejected");
    assert.equal(delivery.reason, "gone");
    const paused = await api.actionState("gone", "tell", "paused");
    assert.equal(paused.reason, "gone");

    const { id: later } = await api.enroll("gone", contact("52"));
    await api.settled("gone", later, "held");
    assert.equal(endpoint.requests.length, 1);
    assert.equal((await api.stats("gone")).open, 1);

    await api.done("POST", "/v1/workflows/gone/actions/tell/resume");
    await api.settled("gone", later, "delivered");
    assert.equal(endpoint.requests.length, 2);
    const resumed = await api.actionState("gone", "tell", "active");
    assert.equal(resumed.reason, undefined);
    const stats = await api.drained("gone");
    assert.deepEqual([stats.accepted, stats.delivered, stats.rejected], [2, 1, 1]);
  });

  it("can't lead Varde elsewhere: a redirect is not followed", async () => {
    const elsewhere = receiver.endpoint("/elsewhere");
    const endpoint = receiver.endpoint("/redirects", { status: 302, headers: { location: elsewhere.url } }, { status: 307, headers: { location: elsewhere.url } }, 200);
    const enrollment = await begin("redirects", endpoint);
    const { attempts } = await api.settled("redirects", enrollment, "delivered");
    assert.deepEqual(attempts.map(({ outcome, status, verdict }) => [outcome, status, verdict]), [
      ["response", 302, "retry"],
      ["response", 307, "retry"],
      ["response", 200, "delivered"],
    ]);
    assert.equal(elsewhere.requests.length, 0);
  });
});

describe("an endpoint that does not answer", { concurrency: true }, () => {
  for (const fault of ["hang", "drip"]) {
    it(`is cut at timeout_ms, and tried again (${fault})`, async () => {
      const endpoint = receiver.endpoint(`/${fault}`, { fault }, 200);
      const enrollment = await begin(fault, endpoint, { timeout_ms: 1_000 });
      const { attempts } = await api.settled(fault, enrollment, "delivered");
      assert.deepEqual(attempts.map(({ outcome, verdict }) => [outcome, verdict]), [
        ["timeout", "retry"],
        ["response", "delivered"],
      ]);
      assert.ok(attempts[0].duration_ms >= 1_000, `cut after ${attempts[0].duration_ms} ms`);
      await until("the connection to be closed", () => endpoint.requests[0].cut);
      const gap_ms = endpoint.requests[1].at - endpoint.requests[0].at;
      assert.ok(gap_ms >= 1_000, `tried again after ${gap_ms} ms`);
    });
  }

  it("is tried again when it drops the connection", async () => {
    const endpoint = receiver.endpoint("/drops", { fault: "close" }, 200);
    const enrollment = await begin("drops", endpoint);
    const { attempts } = await api.settled("drops", enrollment, "delivered");
    assert.deepEqual(attempts.map(({ outcome, verdict }) => [outcome, verdict]), [
      ["connect", "retry"],
      ["response", "delivered"],
    ]);
  });

  it("is tried again when nobody listens, until somebody does", async (t) => {
    const absent = await Receiver.start(authority.leaf);
    const port = Number(new URL(absent.origin).port);
    await absent.stop();
    const enrollment = await begin("refused", { url: `https://127.0.0.1:${port}/up` });
    await api.attempted("refused", enrollment, 2);

    const present = await Receiver.start(authority.leaf, port);
    t.after(() => present.stop());
    const endpoint = present.endpoint("/up");
    const { attempts } = await api.settled("refused", enrollment, "delivered");
    assert.deepEqual([attempts[0].outcome, attempts[0].verdict, attempts[0].status], ["connect", "retry", undefined]);
    assert.equal(endpoint.requests.length, 1);
  });

  it("isn't told anything when its certificate can't be trusted", async (t) => {
    const stranger = await Receiver.start((await makeAuthority("A stranger")).leaf);
    t.after(() => stranger.stop());
    const endpoint = stranger.endpoint("/untrusted");
    const enrollment = await begin("untrusted", endpoint);
    const { attempts } = await api.attempted("untrusted", enrollment, 2);
    assert.deepEqual([attempts[0].outcome, attempts[0].verdict], ["connect", "retry"]);
    assert.equal(endpoint.requests.length, 0);
  });

  it("doesn't hold up the others", async () => {
    const silent = receiver.endpoint("/silent", { fault: "hang" });
    const lively = receiver.endpoint("/lively");
    const definition = oneAction(lively.url, { timeout_ms: 28_000 });
    const [first] = definition.actions;
    await api.workflow("mixed", { ...definition, actions: [{ ...first, url: `${receiver.origin}/silent`, id: "silent" }] });
    for (let n = 0; n < 10; n++) await api.enroll("mixed", contact(`${n}`));
    await silent.waitFor(7);
    // The same workflow, so the same outbox, and now with another action.
    await api.workflow("mixed", definition);
    const { id } = await api.enroll("mixed", contact("late"));
    await api.settled("mixed", id, "delivered");
    assert.ok(silent.requests.every(({ cut }) => !cut), "the silent ones are still waited for");
  });
});
