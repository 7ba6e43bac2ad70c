import { createHmac, timingSafeEqual } from "node:crypto";

/** webhook-signature, with webhook-id and webhook-timestamp; the secret is `whsec_…`. */
export function verifyStandardWebhooks({ secret, id, timestamp, body, signatures, now = Date.now() }) {
  if (!/^\d+$/.test(timestamp) || Math.abs(now / 1000 - Number(timestamp)) > 300) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64")}`;
  // During a rotation there is one signature for each secret.
  return signatures
    .split(" ")
    .some((one) => one.length === expected.length && timingSafeEqual(Buffer.from(one), Buffer.from(expected)));
}
