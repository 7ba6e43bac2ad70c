import { createPublicKey, verify } from "node:crypto";

/** webhook-signature with `v1a`; the public key is `whpk_…`. No secret is needed. */
export function verifyStandardWebhooksEd25519({ publicKey, id, timestamp, body, signatures, now = Date.now() }) {
  if (!/^\d+$/.test(timestamp) || Math.abs(now / 1000 - Number(timestamp)) > 300) return false;
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const message = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body)]);
  return signatures
    .split(" ")
    .filter((one) => one.startsWith("v1a,"))
    .some((one) => verify(null, message, key, Buffer.from(one.slice(4), "base64")));
}
