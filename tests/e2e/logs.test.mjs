/**
 * What Varde writes into the log while things fail: each line is one JSON object with a code, names the delivery
 * or enrollment that it is about, and tells no secret and no URL.
 */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";

import { changeOutboxes } from "./support/rows.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const fresh = () => randomBytes(32).toString("base64");
const MASTER_KEY = fresh();
const { api, receiver, runtime } = await stage({ variables: { VARDE_MASTER_KEY: MASTER_KEY } });

const tell = (what) => api.done("POST", `/__testing/${what}`);
const plain = () => runtime.output().replace(/\u001b\[[0-9;]*m/g, "");
const ERROR = /^\S+ \[ERROR\] /;

/** What was logged, line by line, as far as it is JSON. */
function logged() {
  const lines = plain().split("\n").filter((line) => ERROR.test(line));
  return lines.map((line) => JSON.parse(line.replace(ERROR, "")));
}

const about = (code, subject) => logged().some((line) => line.code === code && line.subject === subject);

describe("the log", { concurrency: false }, () => {
  const secret = `log-secret-${randomBytes(18).toString("base64url")}`;
  const auth = { type: "bearer", secret: "logged" };
  const retry = { first_ms: 60_000, factor: 1, max_ms: 60_000, jitter: 0 };
  let poisoned;

  it("names the enrollment that an outbox out of reach wasn't told of", async () => {
    await api.secret("logged", secret);
    const endpoint = receiver.endpoint("/logged-path", 503);
    await api.workflow("logged", oneAction(endpoint.url, { auth, retry }));
    poisoned = await api.attempted("logged", (await api.enroll("logged", contact("poisoned"))).id, 1);
    await tell("outbox/down");
    await api.refused(503, "POST", "/v1/workflows/logged/enrollments", { record: contact("refused") });
    await tell("outbox/up");
    const line = await until("the line", () => logged().find(({ code }) => code === "accept_repeated"));
    assert.match(line.subject, /^enr_[0-9a-z]{26}$/);
  });

  it("names the delivery whose end couldn't be told, and at last was given up", async () => {
    const endpoint = receiver.endpoint("/untold-path", { fault: "hold" }, 200);
    await api.workflow("untold", oneAction(endpoint.url, { auth, timeout_ms: 1_000 }));
    const { id } = await api.enroll("untold", contact());
    await endpoint.waitForHeld(1);
    const delivery = (await api.deliveryOf("untold", id)).id;
    await tell("outbox/down");
    endpoint.release(200);
    await until("the sender to give up", () => about("settle_lost", delivery));
    await until("its tries to be told", () => about("outbox_unreachable", delivery));
    await tell("outbox/up");
    await api.settled("untold", id, "delivered");
  });

  it("names the event that people couldn't be told of", async () => {
    const endpoint = receiver.endpoint("/gone-path", { fault: "hold" });
    await api.workflow("gone", oneAction(endpoint.url, { auth }));
    await api.enroll("gone", contact());
    await endpoint.waitForHeld(1);
    await tell("registry/down");
    endpoint.release(410);
    const line = await until("the event to wait", () => logged().find(({ code }) => code === "report_postponed"));
    assert.match(line.subject, /^enr_[0-9a-z]{26}$/);
    await api.refused(503, "GET", "/v1/workflows");
    await tell("registry/up");
    await until("the registry to be missed", () => logged().some(({ code, subject }) => code === "registry_unreachable" && subject === undefined));
  });

  it("names the delivery whose row was set aside", async () => {
    await runtime.kill9();
    assert.equal(changeOutboxes(runtime, "UPDATE deliveries SET state = ? WHERE record = 'poisoned'", '{"status":"unheard_of"}'), 1);
    await runtime.restart();
    await until("the row to be set aside", async () => (await api.stats("logged")).set_aside === 1);
    await until("it to be told", () => about("row_set_aside", poisoned.id));
  });

  it("names the secret that another master key can't open, and no value", async () => {
    await runtime.kill9();
    await runtime.restart({ VARDE_MASTER_KEY: fresh() });
    await api.refused(500, "POST", "/v1/workflows/logged/enrollments", { record: contact("sealed") });
    const line = await until("the refusal", () => logged().find(({ code }) => code === "master_key_mismatch"));
    assert.match(line.cause, /`logged`/);
  });

  it("has a JSON object in every line that isn't the runtime's, and no secret in any", async () => {
    await runtime.kill9();
    const codes = new Set();
    for (const line of logged()) {
      const said = JSON.stringify(line);
      assert.deepEqual(Object.keys(line).filter((name) => !["level", "code", "subject", "cause"].includes(name)), [], said);
      assert.equal(line.level, "error", said);
      assert.match(line.code, /^[a-z][a-z_]+$/, said);
      assert.equal(typeof line.cause, "string", said);
      assert.ok(line.subject === undefined || line.subject !== "", said);
      for (const told of [secret, runtime.adminToken, MASTER_KEY, "127.0.0.1", "localhost", "-path", "http:", "https:"]) assert.ok(!said.includes(told), `${told} in ${said}`);
      codes.add(line.code);
    }
    for (const code of ["accept_repeated", "outbox_unreachable", "settle_lost", "report_postponed", "registry_unreachable", "row_set_aside", "master_key_mismatch"]) {
      assert.ok(codes.has(code), `${code} of ${[...codes]}`);
    }
    for (const value of [secret, runtime.adminToken, MASTER_KEY]) assert.ok(!plain().includes(value));
    assert.deepEqual(strangers(), []);
  });
});

/** Lines that are neither Varde's JSON nor the runtime's own: between its start and its end it writes `[wrangler:…]`. */
function strangers() {
  let ready = false;
  return plain().split("\n").filter((line) => {
    if (/^\[wrangler:\w+\] Ready on /.test(line)) ready = true;
    if (line.startsWith("Using secrets defined in")) ready = false;
    return ready && line.trim() !== "" && !ERROR.test(line) && !line.startsWith("[wrangler:");
  });
}
