/** `GET /metrics`: what monitoring reads, before and after a restart. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver, runtime } = await stage();

/** Samples by name and labels. */
async function scrape(query = "") {
  const { status, headers, text } = await api.call("GET", `/metrics${query}`);
  assert.equal(status, 200);
  assert.match(headers.get("content-type"), /^text\/plain; version=0\.0\.4/);
  const samples = new Map();
  for (const line of text.trimEnd().split("\n")) {
    if (line.startsWith("#")) continue;
    const [, name, value] = line.match(/^([a-z_]+(?:\{[^}]*\})?) (\S+)$/) ?? assert.fail(`not a sample: ${line}`);
    assert.ok(!samples.has(name), `${name} appears twice`);
    samples.set(name, Number(value));
  }
  return samples;
}

describe("metrics", () => {
  it("come from rows, so they survive a kill -9", async () => {
    const endpoint = receiver.endpoint("/metrics", 503, 404, 200);
    await api.workflow("measured", oneAction(endpoint.url, {}, { shards: 4 }));
    await api.workflow("other", oneAction(receiver.endpoint("/other").url));
    await api.enrollBatch("measured", Array.from({ length: 20 }, (_, n) => ({ record: contact(`${n}`) })));
    await api.enroll("other", contact());
    await api.drained("measured");
    await api.drained("other");
    const found = await scrape("?workflow=measured");
    const of = (name, labels = "") => found.get(`varde_${name}{workflow="measured",action="tell"${labels}}`);
    assert.deepEqual(
      [of("deliveries_accepted_total"), of("deliveries_ended_total", ',status="delivered"'), of("deliveries_ended_total", ',status="rejected"'), of("deliveries_open")],
      [20, 19, 1, 0],
    );
    assert.deepEqual([of("attempts_total", ',outcome="response"'), of("attempts_total", ',outcome="timeout"')], [21, 0]);
    assert.deepEqual([of("attempt_duration_seconds_count"), of("attempt_duration_seconds_bucket", ',le="+Inf"')], [21, 21]);
    assert.ok(of("attempt_duration_seconds_sum") > 0);
    assert.deepEqual([of("queue_age_seconds"), of("breaker_open")], [0, 0]);
    assert.equal(found.get("varde_outboxes"), found.get("varde_outboxes_scraped"));
    assert.ok([...found.keys()].every((name) => !name.includes("other")));

    const all = await scrape();
    assert.equal(all.get('varde_deliveries_accepted_total{workflow="other",action="tell"}'), 1);
    await runtime.kill9();
    await runtime.restart();
    const after = await scrape();
    for (const [name, value] of all) assert.equal(after.get(name), value, name);
  });

  it("need a token that may read", async () => {
    const token = async (scope) => (await api.expect(201, "POST", "/v1/tokens", { scope })).token;
    await api.as(null).refused(401, "GET", "/metrics");
    await api.as(await token("enroll")).refused(403, "GET", "/metrics");
    await api.as(await token("read")).expect(200, "GET", "/metrics");
    await api.refused(404, "GET", "/metrics?workflow=%20");
    await api.refused(422, "GET", "/metrics?x=1");
  });
});
