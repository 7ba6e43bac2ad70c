/**
 * Which URLs are called: none that is hostile, wherever it comes in; and exactly the one that was checked, as the
 * runtime's own parser understands it.
 */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";

import { pointers } from "./support/api.mjs";
import { pageCore, sentByPage } from "./support/core.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";
import { HOSTILE, HOSTS, isTemplate, PATHS, QUERIES, urls } from "./support/urls.mjs";

// Hostile URLs are refused with the gate for development open, but for the two hosts that it is for.
const { api, receiver, runtime } = await stage();
describe("a hostile URL", { concurrency: true }, () => {
  it("is never saved, tried out, imported or asked for a token", async () => {
    assert.ok(HOSTILE.length >= 300, String(HOSTILE.length));
    await api.secret("urls", "client-secret");
    const flow = JSON.parse(await readFile(new URL("../fixtures/hubspot/ship-closed-deals.json", import.meta.url), "utf8"));
    for (const url of HOSTILE) {
      const said = JSON.stringify(url);
      const definition = oneAction(url);
      const saved = await api.call("PUT", "/v1/workflows/hostile", { json: definition });
      assert.equal(saved.status, 422, `${said} is saved: ${saved.text}`);
      assert.deepEqual(pointers(saved.body), ["/actions/0/url"], said);

      const tried = await api.call("POST", "/v1/test", { json: { object_type: "contact", record: contact(), action: definition.actions[0] } });
      assert.equal(tried.status, 422, `${said} is tried out: ${tried.text}`);
      assert.deepEqual(pointers(tried.body), ["/action/url"], said);

      const auth = { type: "oauth2_client_credentials", token_url: url, client_id: "varde", secret: "urls" };
      const token = await api.call("PUT", "/v1/workflows/hostile", { json: oneAction("https://good.example/", { auth }) });
      assert.equal(token.status, 422, `${said} is a token URL: ${token.text}`);
      assert.deepEqual(pointers(token.body), ["/actions/0/auth/token_url"], said);

      flow.actions[0].webhookUrl = url;
      const { workflows, not_carried_over } = await api.expect(200, "POST", "/v1/import/hubspot", flow);
      assert.ok(workflows.every(({ actions }) => actions.every((action) => action.url !== url)), `${said} is imported`);
      assert.ok(not_carried_over.some(({ action_id, reason }) => action_id === flow.actions[0].actionId && reason !== ""), said);
    }
    await api.refused(404, "GET", "/v1/workflows/hostile");
  });

  it("isn't made by what is filled in", async () => {
    const endpoint = receiver.endpoint("/filled/in");
    const base = endpoint.url.replace("/in", "");
    await api.workflow("filled", oneAction(`${base}/{{ record.properties.where }}`));
    await api.workflow("filled-query", oneAction(`${endpoint.url}?q={{ record.properties.where }}`));
    for (const where of ["../../admin", "..", "@evil.example/", "//evil.example/", "\\evil.example", "#x", "?y=1", "%2e%2e/", "\r\nHost: evil.example", "http://169.254.169.254/", "in"]) {
      for (const workflow of ["filled", "filled-query"]) {
        const { id } = await api.enroll(workflow, contact("1", { where }));
        const { deliveries: [delivery] } = await api.ended(workflow, id);
        const { request } = await api.delivery(workflow, delivery.id);
        if (!request?.url) continue;
        assert.equal(new URL(request.url).host, new URL(endpoint.url).host, where);
        assert.ok(new URL(request.url).pathname.startsWith("/filled/"), request.url);
      }
    }
    const beside = receiver.strays.map(({ target }) => target).filter((target) => !target.startsWith("/filled/"));
    assert.deepEqual(beside, []);
  });
});

describe("an URL that was allowed when it was saved", () => {
  it("is checked again when it is sent, and so is a token URL", async () => {
    const down = receiver.endpoint("/closed", 503, 200);
    const token = receiver.endpoint("/closed-token", () => ({ headers: { "content-type": "application/json" }, body: '{"access_token": "t", "token_type": "Bearer", "expires_in": 1}' }));
    const retry = { ...quickly, first_ms: 6_000, max_ms: 6_000 };
    await api.secret("closing", "client-secret");
    await api.workflow("closing", oneAction(down.url, { retry }));
    const auth = { type: "oauth2_client_credentials", token_url: token.url, client_id: "varde", secret: "closing" };
    await api.workflow("closing-token", oneAction("https://good.example/", { auth, retry }));
    const { id } = await api.enroll("closing", contact());
    await api.attempted("closing", id, 1);

    // The gate for development closes, as it would with a changed rule.
    await runtime.kill9();
    await runtime.restart({ VARDE_DEV_ALLOW_LOOPBACK: "false" });
    const [sent, asked] = [down.requests.length, token.requests.length];
    const settled = await api.settled("closing", id, "rejected");
    assert.deepEqual(settled.attempts.map(({ outcome }) => outcome), ["response", "blocked"]);
    assert.equal(settled.reason, "blocked_url");

    const fresh = await api.enroll("closing-token", contact());
    const blocked = await api.settled("closing-token", fresh.id, "rejected");
    assert.equal(blocked.reason, "token_blocked_url");
    const tried = await api.call("POST", "/v1/workflows/closing/actions/tell/test", { json: { record: contact() } });
    assert.ok(!tried.body.response, tried.text);
    await api.refused(422, "PUT", "/v1/workflows/closing", oneAction(down.url));
    assert.deepEqual([down.requests.length, token.requests.length], [sent, asked], "nothing was called");
    await runtime.kill9();
    await runtime.restart({ VARDE_DEV_ALLOW_LOOPBACK: "true" });
  });
});

describe("what was checked", () => {
  it("is what the runtime's own parser makes of it, and the pages' core on another one, for thousands of URLs", async (t) => {
    const rows = await api.expect(200, "POST", "/__testing/urls", [...new Set(urls())]);
    const taken = rows.filter(({ ours }) => ours !== null);
    t.diagnostic(`${rows.length} URLs, ${taken.length} taken`);
    assert.ok(rows.length >= 3_000 && taken.length >= 1_500, `${taken.length} of ${rows.length}`);
    const different = [];
    for (const { text, ours, host, theirs, ours_by_theirs: again } of taken) {
      const { host: authority, pathname, search } = theirs ?? {};
      // A fragment is never sent; an empty query is.
      const sent = ours.slice("https://".length);
      const path = sent.slice(sent.indexOf("/"));
      const same =
        theirs !== null &&
        authority === sent.slice(0, sent.indexOf("/")) &&
        authority.replace(/:\d+$/, "") === host &&
        (pathname + search === path || (search === "" && `${pathname}?` === path)) &&
        again.href === ours;
      if (!same) different.push({ text, ours, theirs: theirs?.href, again: again?.href });
    }
    assert.deepEqual(different, []);
    const core = await pageCore();
    const otherwise = rows.filter(({ text, ours }) => !isTemplate(text) && sentByPage(core, text) !== ours);
    assert.deepEqual(otherwise.map(({ text, ours }) => ({ text, ours, page: sentByPage(core, text) })), []);
  });

  it("is what goes over the wire", async (t) => {
    const origin = new URL(receiver.endpoint("/wire").url).origin;
    let compared = 0;
    for (const path of PATHS.filter((path) => path !== "" && !path.startsWith("//"))) {
      for (const query of QUERIES.filter((_, n) => (n + compared) % 7 === 0)) {
        const url = `${origin}/wire${path}${query}`;
        const answer = await api.call("POST", "/v1/test", { json: { object_type: "contact", record: contact(), action: oneAction(url).actions[0] } });
        if (answer.status === 422) continue;
        assert.equal(answer.status, 200, answer.text);
        const { request } = answer.body;
        // Nothing is at these paths but what notes who came.
        assert.equal(origin + receiver.strays.at(-1).target, request.url, JSON.stringify(url));
        compared += 1;
      }
    }
    t.diagnostic(`${compared} requests`);
    assert.ok(compared >= 100, String(compared));
  });
});
