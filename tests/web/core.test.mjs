/** The core as browsers get it, from `www/pkg`: the same vectors, the same bytes. */

import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";

import { pageCore } from "../e2e/support/core.mjs";
import { renderVectors, vectors, withoutVersion } from "../vectors/vectors.mjs";

const core = await pageCore();
const signatures = await pageCore("varde_verify");

/** What a call throws. */
function thrown(call) {
  try {
    call();
  } catch (error) {
    return error;
  }
  assert.fail("nothing was thrown");
}

describe("a preview", () => {
  const cases = renderVectors();
  assert.ok(cases.length >= 30);
  for (const { id, input, request, error } of cases) {
    it(`renders ${id} as every other build of the core does`, () => {
      if (error === undefined) assert.deepEqual(withoutVersion(core.preview(input).request), request);
      else assert.equal(thrown(() => core.preview(input)).code, error);
    });
  }

  it("takes objects as well as text, and shows where secrets will stand", () => {
    const action = { id: "a", type: "webhook", method: "GET", url: "https://shop.example/", auth: { type: "bearer", secret: "chat" } };
    const { request, added } = core.preview({ action, object_type: "deal", record: { id: 1, properties: {} }, now: 0 });
    assert.equal(request.url, "https://shop.example/");
    assert.deepEqual(added[0], { location: "header", name: "authorization", value: "Bearer <chat>" });
  });

  it("names every mistake with its place", () => {
    const error = thrown(() => core.preview({ action: { id: "A" }, now: -1 }));
    assert.ok(error instanceof Error);
    assert.equal(error.code, "invalid_input");
    const pointers = error.errors.map((mistake) => mistake.pointer);
    for (const pointer of ["/action/id", "/action/url", "/record", "/now"]) assert.ok(pointers.includes(pointer), pointer);
    assert.equal(thrown(() => core.preview("{")).code, "malformed_json");
    assert.equal(thrown(() => core.preview('{"now": 1, "now": 2}')).code, "duplicate_key");
    assert.ok(thrown(() => core.preview(undefined)) instanceof Error);
  });
});

describe("a schedule", () => {
  it("is HubSpot's by default", () => {
    const { retries, window_ends: ends } = core.schedule({ first_attempt: 1000 });
    assert.deepEqual(retries.map(({ gap_ms: gap }) => gap / 60_000), [1, 2, 4, 8, 16, 32, 64, 128, 256, ...Array(7).fill(480)]);
    assert.equal(retries[0].attempt, 2);
    assert.equal(retries[15].due, 1000 + 3871 * 60_000);
    assert.equal(ends, 1000 + 259_200_000);
  });

  it("shows how far jitter moves it", () => {
    const { retry, retries } = core.schedule({ retry: { first_ms: 1000, max_ms: 1000, max_age_ms: 3000, jitter: 0 } });
    assert.deepEqual(retries.map(({ earliest, due, latest }) => [earliest, due, latest]), [1000, 2000, 3000].map((at) => [at, at, at]));
    assert.equal(retry.factor, 2);
    const [first] = core.schedule({ retry: { jitter: 0.5 } }).retries;
    assert.deepEqual([first.earliest, first.due, first.latest], [60_000, 60_000, 90_000]);
    assert.equal(thrown(() => core.schedule({ retry: { jitter: 2 } })).errors[0].pointer, "/retry/jitter");
  });
});

describe("validation", () => {
  it("fills in defaults, or names the mistakes", () => {
    const action = { id: "tell", type: "webhook", method: "POST", url: "https://shop.example/" };
    const workflow = core.validate_workflow({ name: "W", object_type: "deal", actions: [action] });
    assert.equal(workflow.retention_days, 30);
    assert.equal(core.validate_action(action).body.kind, "all_properties");
    assert.equal(thrown(() => core.validate_workflow({ name: "W", object_type: "deal", actions: [] })).errors[0].pointer, "/actions");
    assert.equal(thrown(() => core.validate_action({ ...action, url: "https://10.0.0.1/" })).errors[0].pointer, "/url");
  });
});

/** Questions about the published signatures. */
function published() {
  const hubspot = vectors("hubspot").vectors.map((vector) => ({
    id: vector.id,
    signature: vector.expected_signature,
    question: {
      method: vector.method ?? "POST",
      url: vector.uri ?? "https://a.example/",
      body: vector.body ?? "",
      headers: [
        [vector.signature_header ?? "X-HubSpot-Signature", vector.expected_signature],
        ...(vector.version === "v3" ? [["X-HubSpot-Request-Timestamp", String(vector.timestamp)]] : [["X-HubSpot-Signature-Version", vector.version]]),
      ],
      secrets: [vector.secret],
      ...(vector.version === "v3" && { now: Number(vector.timestamp) }),
    },
  }));
  const standard = vectors("standard_webhooks").vectors.map((vector) => ({
    id: vector.id,
    signature: vector.expected_signature,
    question: {
      method: "POST",
      url: "https://a.example/",
      body: vector.body,
      headers: [["webhook-id", vector.webhook_id], ["webhook-timestamp", vector.timestamp], ["webhook-signature", vector.expected_signature]],
      secrets: [vector.secret],
      now: Number(vector.timestamp) * 1000,
    },
  }));
  return [...hubspot, ...standard];
}

describe("a signature", () => {
  const cases = published();
  assert.ok(cases.length >= 10);
  for (const { id, question } of cases) {
    it(`of ${id} is valid here, too`, () => {
      const { valid, checks } = signatures.verify(question);
      assert.equal(valid, true, JSON.stringify(checks));
      const broken = { ...question, body: `${question.body} ` };
      assert.equal(signatures.verify(broken).valid, false);
      const explained = signatures.explain(broken);
      assert.equal(explained.valid, false);
      assert.ok(explained.findings.length > 0, JSON.stringify(explained.next_steps));
    });
  }

  it("that fails is explained, with the bytes that were signed and what to change", () => {
    const { question } = cases.find(({ question: { headers } }) => headers[0][0].toLowerCase() === "x-hubspot-signature-v3");
    const behindProxy = { ...question, url: question.url.replace("https:", "http:") };
    const { findings } = signatures.explain(behindProxy);
    const [{ mistakes: [mistake], signed, changes }] = findings;
    assert.equal(mistake.code, "url_scheme");
    assert.match(mistake.change, /proxy/);
    assert.ok(signed.parts.find(({ name }) => name === "url").text.startsWith("https://"));
    assert.equal(changes[0].part, "url");
    assert.ok(!JSON.stringify(findings).includes(question.secrets[0]), "no secret is shown");
  });

  it("by a wrong secret isn't", () => {
    const { question } = cases[0];
    const { findings, next_steps: steps } = signatures.explain({ ...question, secrets: ["another secret"] });
    assert.deepEqual(findings, []);
    assert.ok(steps.some(({ code }) => code === "wrong_secret"));
    const [{ mistakes }] = signatures.explain({ ...question, secrets: ["another secret"], previous_secrets: question.secrets }).findings;
    assert.equal(mistakes[0].code, "secret_previous");
  });

  it("by an ed25519 key is checked with the public half, and isn't explained away", () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const whpk = `whpk_${Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url").toString("base64")}`;
    const signature = sign(null, Buffer.from("msg_1.1767323045.{}"), privateKey).toString("base64");
    const question = {
      method: "POST",
      url: "https://a.example/",
      body: "{}",
      headers: [["webhook-id", "msg_1"], ["webhook-timestamp", "1767323045"], ["webhook-signature", `v1a,${signature}`]],
      secrets: [whpk],
      now: 1767323045000,
    };
    assert.equal(signatures.verify(question).valid, true);
    const { valid, findings, next_steps: steps } = signatures.explain({ ...question, body: "{ }" });
    assert.deepEqual([valid, findings], [false, []]);
    assert.equal(steps[0].code, "asymmetric_signature");
  });

  it("that isn't there isn't valid", () => {
    const answer = signatures.explain({ method: "GET", url: "https://a.example/" });
    assert.equal(answer.valid, false);
    assert.equal(answer.next_steps[0].code, "find_signature");
    assert.equal(thrown(() => signatures.verify({ method: 1 })).errors[0].pointer, "/method");
  });
});

describe("a pasted request", () => {
  it("becomes a question", () => {
    const pasted = signatures.parse_request("curl https://a.example/hook -H 'X-A: 1' -H Content-Type: --data-raw '{\"a\": 1}'");
    assert.deepEqual(pasted, { method: "POST", url: "https://a.example/hook", headers: [["X-A", "1"]], body: '{"a": 1}' });
    assert.equal(signatures.verify({ ...pasted, secrets: ["s"] }).valid, false);
  });

  it("that can't be read says where", () => {
    const error = thrown(() => signatures.parse_request("curl -d 'abc"));
    assert.equal(error.code, "open_quote");
    assert.match(error.message, /line 1, column 9/);
    assert.deepEqual([error.line, error.column], [1, 9]);
    assert.equal(thrown(() => signatures.verify({ method: 1 })).line, undefined);
  });
});
