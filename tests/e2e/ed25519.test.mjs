/** Standard Webhooks with key pairs: other people's code believes the signatures with the public key alone. */

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { describe, it } from "node:test";

import { Webhook } from "standardwebhooks";

import { pointers } from "./support/api.mjs";
import { contact, oneAction, stage } from "./support/stage.mjs";

const { api, receiver } = await stage();

const signed = (secret) => ({ auth: { type: "standard_webhooks", secret } });

/** Node's own ed25519, with what a receiver knows: the `whpk_…` and the request. */
function believes(publicKey, { headers, body }) {
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const signedBytes = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
  return headers["webhook-signature"]
    .split(" ")
    .filter((signature) => signature.startsWith("v1a,"))
    .some((signature) => verify(null, signedBytes, key, Buffer.from(signature.slice(4), "base64")));
}

const listed = async (name) => (await api.all("/v1/secrets")).find((secret) => secret.name === name);

/** Enrolls one record, and gives what arrived. */
async function deliver(id) {
  const endpoint = receiver.endpoint(`/${id}`);
  await api.workflow(id, oneAction(endpoint.url, signed(id)));
  const { id: enrollment } = await api.enroll(id, contact("9", { name: "Åse 🦊" }));
  await api.settled(id, enrollment, "delivered");
  return { endpoint, arrival: endpoint.requests[0] };
}

describe("an ed25519 key", { concurrency: true }, () => {
  it("is made here, signs, and is checked with its public key", async () => {
    const made = await api.expect(201, "PUT", "/v1/secrets/made", { generate: "standard_webhooks_ed25519" });
    assert.match(made.value, /^whsk_[A-Za-z0-9+/]{86}==$/);
    assert.match(made.public_key, /^whpk_[A-Za-z0-9+/]{43}=$/);
    const { value, ...rest } = made;
    assert.deepEqual(await listed("made"), rest, "the list shows the public key, and not the secret one");

    const { arrival } = await deliver("made");
    assert.match(arrival.headers["webhook-signature"], /^v1a,[A-Za-z0-9+/]{86}==$/);
    assert.ok(believes(made.public_key, arrival));
    assert.ok(!believes(made.public_key, { ...arrival, body: Buffer.concat([arrival.body, Buffer.from(" ")]) }));
    const other = await api.done("PUT", "/v1/secrets/made-too", { generate: "standard_webhooks_ed25519" });
    assert.ok(!believes(other.public_key, arrival), "another key's signature is another");
  });

  it("is taken as a seed alone, too", async () => {
    const seed = `whsk_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;
    const { public_key: publicKey, value } = await api.secret("seed", seed);
    assert.equal(value, undefined, "what the caller brings isn't shown");
    assert.ok(believes(publicKey, (await deliver("seed")).arrival));
  });

  it("takes over from a shared secret with both signatures side by side", async () => {
    const { value: shared } = await api.done("PUT", "/v1/secrets/mixed", { generate: "standard_webhooks" });
    const { endpoint, arrival: before } = await deliver("mixed");
    assert.match(before.headers["webhook-signature"], /^v1,[^ ]+$/);
    const rotated = await api.expect(200, "POST", "/v1/secrets/mixed/rotate", { generate: "standard_webhooks_ed25519" });
    assert.ok(rotated.public_key && rotated.previous_until > Date.now());

    await api.enroll("mixed", contact("10"));
    const [, arrival] = await endpoint.waitFor(2);
    assert.match(arrival.headers["webhook-signature"], /^v1a,[^ ]+ v1,[^ ]+$/);
    assert.ok(believes(rotated.public_key, arrival), "who has the public key believes it");
    assert.ok(new Webhook(shared).verify(arrival.text, arrival.headers), "and who has the shared secret still does");
    assert.equal((await listed("mixed")).previous_public_key, undefined, "a shared secret has no public half");
  });

  it("shows the former and the next public key, so that receivers can prepare", async () => {
    const first = await api.done("PUT", "/v1/secrets/three", { generate: "standard_webhooks_ed25519" });
    const { endpoint } = await deliver("three");
    const second = await api.done("POST", "/v1/secrets/three/rotate", { generate: "standard_webhooks_ed25519" });
    const planned = { generate: "standard_webhooks_ed25519", activate_at: Date.now() + 3_600_000 };
    const third = await api.done("POST", "/v1/secrets/three/rotate", planned);
    assert.equal(third.public_key, undefined, "it isn't in force yet");
    assert.ok(third.next_public_key);
    const { public_key, previous_public_key, next_public_key } = await listed("three");
    assert.deepEqual(
      [public_key, previous_public_key, next_public_key],
      [second.public_key, first.public_key, third.next_public_key],
    );

    await api.enroll("three", contact("10"));
    const [, arrival] = await endpoint.waitFor(2);
    assert.equal(arrival.headers["webhook-signature"].split(" ").length, 2);
    assert.ok(believes(second.public_key, arrival) && believes(first.public_key, arrival));
    assert.ok(!believes(third.next_public_key, arrival));
  });

  it("is refused by the workflow that wants one, when it can't sign", async () => {
    const { value, public_key: publicKey } = await api.done("PUT", "/v1/secrets/whole", { generate: "standard_webhooks_ed25519" });
    const bytes = Buffer.from(value.slice(5), "base64");
    bytes[40] ^= 1;
    for (const [name, unfit, why] of [
      ["public-half", publicKey, /public key/],
      ["unpaired", `whsk_${bytes.toString("base64")}`, /isn't that of the secret key/],
      ["too-short", `whsk_${bytes.subarray(0, 31).toString("base64")}`, /32 or 64 bytes, found 31/],
    ]) {
      await api.secret(name, unfit);
      const problem = await api.refused(422, "PUT", `/v1/workflows/${name}`, oneAction("https://shop.example/", signed(name)));
      assert.deepEqual(pointers(problem), ["/actions/0/auth/secret"]);
      assert.match(problem.errors[0].message, why);
    }
  });

  it("stays one as long as a workflow signs with it", async () => {
    await api.done("PUT", "/v1/secrets/signing", { generate: "standard_webhooks_ed25519" });
    await api.workflow("signing", oneAction(receiver.endpoint("/signing").url, signed("signing")));
    for (const [method, path] of [["PUT", "/v1/secrets/signing"], ["POST", "/v1/secrets/signing/rotate"]]) {
      const problem = await api.refused(422, method, path, { value: "hunter2" });
      assert.deepEqual(pointers(problem), ["/value"], path);
      assert.match(problem.errors[0].message, /signing/);
    }
    const { id } = await api.enroll("signing", contact());
    await api.settled("signing", id, "delivered");
    // One that nobody signs with may be anything.
    await api.secret("loose", "hunter2");
  });
});
