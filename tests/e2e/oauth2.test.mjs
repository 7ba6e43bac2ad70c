/** OAuth2 client credentials: a token is fetched, remembered, renewed, and never shown. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { pointers } from "./support/api.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";
import { until } from "./support/wait.mjs";

const { api, receiver, runtime } = await stage();

/** Spelled differently as it is, form-encoded and in base64. */
const PASSWORD = "p+ss:wörd/ & more";

/** An answer with a token of its own for each request: `<id>-token-1`, … */
const granting = (id, more = {}) => (_, index) => ({
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ access_token: `${id}-token-${index + 1}`, token_type: "Bearer", expires_in: 3600, ...more }),
});

/** A token endpoint, an endpoint, a secret, and a workflow that uses them. */
async function shop(id, { tokens = [granting(id)], replies = [], auth = {}, action = {}, secret = { value: PASSWORD } } = {}) {
  const token = receiver.endpoint(`/${id}/token`, ...tokens);
  const endpoint = receiver.endpoint(`/${id}`, ...replies);
  await api.done("PUT", `/v1/secrets/${id}`, secret);
  const client = { type: "oauth2_client_credentials", token_url: token.url, client_id: "varde", secret: id, ...auth };
  await api.workflow(id, oneAction(endpoint.url, { auth: client, ...action }));
  return { token, endpoint };
}

const bearers = ({ requests }) => requests.map(({ headers }) => headers.authorization);

describe("a token", { concurrency: true }, () => {
  it("is asked for as RFC 6749 has it, once for many deliveries", async () => {
    const { token, endpoint } = await shop("cached", { auth: { client_id: "var:de", scope: "orders:write read" } });
    for (let n = 1; n <= 4; n += 1) {
      const { id } = await api.enroll("cached", contact(String(n)));
      await api.settled("cached", id, "delivered");
    }
    assert.deepEqual(bearers(endpoint), Array(4).fill("Bearer cached-token-1"));
    assert.equal(token.requests.length, 1);
    const [asked] = token.requests;
    assert.equal(asked.method, "POST");
    assert.equal(asked.headers["content-type"], "application/x-www-form-urlencoded");
    assert.equal(asked.headers.accept, "application/json");
    assert.deepEqual([...new URLSearchParams(asked.text)], [["grant_type", "client_credentials"], ["scope", "orders:write read"]]);
    const [client, password] = Buffer.from(asked.headers.authorization.replace(/^Basic /, ""), "base64").toString().split(":");
    const decoded = new URLSearchParams(`client=${client}&password=${password}`);
    assert.deepEqual([decoded.get("client"), decoded.get("password")], ["var:de", PASSWORD]);
  });

  it("is asked for once by a batch whose attempts start together", async () => {
    const slow = (request, index) => ({ ...granting("batch")(request, index), delayMs: 200 });
    const { token, endpoint } = await shop("batch", { tokens: [slow] });
    await api.enrollBatch("batch", Array.from({ length: 6 }, (_, n) => ({ record: contact(String(n)) })));
    await endpoint.waitFor(6);
    await api.drained("batch");
    assert.deepEqual([token.requests.length, new Set(bearers(endpoint)).size], [1, 1]);
  });

  it("is asked for again when it has ended", async () => {
    const { token, endpoint } = await shop("ended", { tokens: [granting("ended", { expires_in: 1 })] });
    for (const record of ["1", "2"]) {
      const { id } = await api.enroll("ended", contact(record));
      await api.settled("ended", id, "delivered");
      await sleep(1_100);
    }
    assert.equal(token.requests.length, 2);
    assert.deepEqual(bearers(endpoint), ["Bearer ended-token-1", "Bearer ended-token-2"]);
  });

  it("is another one for another password, scope or client", async () => {
    const { token, endpoint } = await shop("other");
    const send = async (record) => {
      const { id } = await api.enroll("other", contact(record));
      await api.settled("other", id, "delivered");
    };
    await send("1");
    await api.secret("other", "another password");
    await send("2");
    const auth = { type: "oauth2_client_credentials", token_url: token.url, client_id: "varde", secret: "other", scope: "more" };
    await api.workflow("other", oneAction(endpoint.url, { auth }));
    await send("3");
    await api.workflow("other", oneAction(endpoint.url, { auth: { ...auth, client_id: "varde-2" } }));
    await send("4");
    assert.deepEqual(bearers(endpoint), [1, 2, 3, 4].map((n) => `Bearer other-token-${n}`));
  });

  it("is renewed once after a 401, within the same attempt", async () => {
    const { token, endpoint } = await shop("revoked", {
      replies: [200, ({ headers }) => (headers.authorization.endsWith("-1") ? 401 : 201)],
    });
    const first = await api.enroll("revoked", contact("1"));
    await api.settled("revoked", first.id, "delivered");
    const second = await api.enroll("revoked", contact("2"));
    const delivery = await api.settled("revoked", second.id, "delivered");

    assert.deepEqual(delivery.attempts.map(({ number, status }) => [number, status]), [[1, 201]], "one attempt, the second answer");
    assert.equal(token.requests.length, 2);
    assert.deepEqual(bearers(endpoint), ["Bearer revoked-token-1", "Bearer revoked-token-1", "Bearer revoked-token-2"]);
    const [, refused, taken] = endpoint.requests;
    for (const header of ["webhook-id", "varde-attempt"]) assert.equal(refused.headers[header], taken.headers[header]);

    const third = await api.enroll("revoked", contact("3"));
    await api.settled("revoked", third.id, "delivered");
    assert.equal(token.requests.length, 2, "the new one is remembered");
  });

  it("is renewed no more than once", async () => {
    const { token, endpoint } = await shop("forbidden", { replies: [401] });
    const { id } = await api.enroll("forbidden", contact());
    const delivery = await api.settled("forbidden", id, "rejected");
    assert.deepEqual([delivery.reason, delivery.attempts.length], ["http_401", 1]);
    assert.deepEqual([token.requests.length, endpoint.requests.length], [2, 2]);
  });

  it("that can't be had now is waited for, and the webhook arrives later", async () => {
    const grant = granting("down");
    const { token, endpoint } = await shop("down", {
      tokens: [503, { fault: "close" }, { body: "<html>Back soon</html>" }, { fault: "hang" }, grant],
      action: { timeout_ms: 1_000 },
    });
    const { id } = await api.enroll("down", contact());
    const delivery = await api.settled("down", id, "delivered");
    assert.deepEqual(
      delivery.attempts.map(({ outcome, verdict, trouble, token_status: status }) => [outcome, verdict, trouble, status]),
      [
        ["token", "retry", "status", 503],
        ["token", "retry", "connect", undefined],
        ["token", "retry", "unreadable", 200],
        ["token", "retry", "timeout", undefined],
        ["response", "delivered", undefined, undefined],
      ],
    );
    assert.equal(endpoint.requests.length, 1, "without a token the endpoint isn't called");
    assert.equal(endpoint.requests[0].headers["varde-attempt"], "5");
    assert.equal(token.requests.length, 5);
  });

  it("is waited for as long as its server says", async () => {
    await shop("patient", { tokens: [{ status: 429, headers: { "retry-after": "60000" } }] });
    const { id } = await api.enroll("patient", contact());
    const { status, attempts, next_due: due } = await api.attempted("patient", id, 1);
    const [{ outcome, trouble, token_status: answered, started_at: startedAt, next_due: nextDue }] = attempts;
    assert.deepEqual([status, outcome, trouble, answered], ["scheduled", "token", "status", 429]);
    assert.ok(due >= startedAt + 60_000 && due === nextDue, `${due - startedAt} ms`);
  });

  it("that the server refuses for good ends the delivery with the server's reason", async () => {
    // The worst of servers: it tells the password back, in every spelling.
    const { token, endpoint } = await shop("wrong", {
      tokens: [
        ({ headers, text }) => ({
          status: 401,
          headers: { "content-type": "application/json", "x-echo": headers.authorization },
          body: JSON.stringify({
            error: "invalid_client",
            error_description: `${PASSWORD} ${encodeURIComponent(PASSWORD)} ${new URLSearchParams({ PASSWORD })} ${text}`,
          }),
        }),
      ],
    });
    const { id } = await api.enroll("wrong", contact());
    const delivery = await api.settled("wrong", id, "rejected");
    assert.equal(delivery.reason, "token_invalid_client");
    const [attempt] = delivery.attempts;
    assert.deepEqual([attempt.outcome, attempt.trouble, attempt.token_status, attempt.verdict], ["token", "invalid_client", 401, "reject"]);
    assert.match(attempt.response.body, /"error":"invalid_client"/);
    assert.deepEqual([token.requests.length, endpoint.requests.length], [1, 0]);
    assertNoneOf(JSON.stringify(delivery), spellings(token.requests[0]));
  });

  it("shows up nowhere, not even where the endpoint echoes it", async () => {
    const { token, endpoint } = await shop("echoing", {
      tokens: [granting("hush-hush")],
      replies: [
        401,
        ({ headers: { authorization } }) => ({
          headers: { "content-type": "application/json", "x-echo": authorization },
          // Both tokens, as the second request's endpoint may have kept the first.
          body: JSON.stringify({ authorization, before: "hush-hush-token-1", base64: btoa(authorization), sent: PASSWORD }),
        }),
      ],
    });
    const { id } = await api.enroll("echoing", contact());
    const delivery = await api.settled("echoing", id, "delivered");
    assert.match(delivery.attempts[0].response.body, /"authorization":"Bearer \*\*\*"/);
    assert.equal(delivery.attempts[0].response.headers["x-echo"], "Bearer ***");
    const secrets = [...spellings(token.requests[0]), "hush-hush", btoa("Bearer hush-hush-token-2").slice(12, 28)];
    assertNoneOf(JSON.stringify([delivery, await api.enrollment("echoing", id), await api.all("/v1/secrets")]), secrets);
    assertNoneOf(runtime.output(), secrets);
    assert.equal(endpoint.requests.length, 2);
  });

  it("is asked for only where the secret may go", async () => {
    const { token, endpoint } = await shop("limited", { secret: { value: PASSWORD, hosts: ["shop.example"] } });
    const { id } = await api.enroll("limited", contact());
    const delivery = await untilReason("limited", id, "secret_host_not_allowed");
    assert.equal(delivery.status, "scheduled");
    assert.deepEqual([token.requests.length, endpoint.requests.length], [0, 0]);
  });

  it("is got by a test action, too", async () => {
    const { token, endpoint } = await shop("tried");
    const answer = await api.expect(200, "POST", "/v1/workflows/tried/actions/tell/test", { record: contact() });
    assert.deepEqual([answer.outcome, answer.response.status], ["response", 200]);
    assert.equal(answer.request.http_headers.authorization, "Bearer ***");
    assert.match(answer.curl, /^# TRIED_TOKEN: an access token from https:.*\/tried\/token for the client varde/);
    assert.ok(answer.curl.includes(`-H 'authorization: Bearer '"$TRIED_TOKEN"`), answer.curl);
    token.replyWith({ status: 400, body: '{"error":"invalid_scope"}' });
    endpoint.replyWith(401);
    const refused = await api.expect(200, "POST", "/v1/workflows/tried/actions/tell/test", { record: contact() });
    assert.deepEqual(
      [refused.outcome, refused.trouble, refused.token_status, refused.reason],
      ["token", "invalid_scope", 400, "token_invalid_scope"],
    );
    assert.match(refused.error, /no token/);
  });
});

describe("a token URL", { concurrency: true }, () => {
  it("is held to the rule for endpoint URLs when it is saved", async () => {
    await api.secret("rule", PASSWORD);
    for (const url of ["https://10.0.0.1/token", "http://auth.example/token", "https://auth.internal/", "https://a:b@auth.example/", 5]) {
      const auth = { type: "oauth2_client_credentials", token_url: url, client_id: "varde", secret: "rule" };
      const problem = await api.refused(422, "PUT", "/v1/workflows/rule", oneAction("https://shop.example/", { auth }));
      assert.deepEqual(pointers(problem), ["/actions/0/auth/token_url"], String(url));
    }
    const auth = { type: "oauth2_client_credentials", client_id: "", secret: "No Name", scope: "a\nb", audience: "x" };
    const problem = await api.refused(422, "PUT", "/v1/workflows/rule", oneAction("https://shop.example/", { auth }));
    assert.deepEqual(
      pointers(problem),
      ["audience", "client_id", "scope", "secret", "token_url"].map((name) => `/actions/0/auth/${name}`),
    );
  });
});

/** How the password looks on its way to the token endpoint. */
function spellings({ headers }) {
  const form = new URLSearchParams({ PASSWORD }).toString().slice("PASSWORD=".length);
  const basic = headers.authorization.replace(/^Basic /, "");
  return [PASSWORD, encodeURIComponent(PASSWORD), form, btoa(form).slice(0, 16), basic.slice(12, 32)];
}

function assertNoneOf(text, secrets) {
  for (const secret of secrets) assert.ok(!text.includes(secret), `${secret} is in ${text.slice(0, 3_000)}`);
}

function untilReason(workflow, enrollment, reason) {
  return until(`the delivery to wait for ${reason}`, async () => {
    const found = await api.deliveryOf(workflow, enrollment);
    return found.reason === reason && found;
  });
}
