import { createHash, timingSafeEqual } from "node:crypto";

/** X-HubSpot-Signature with X-HubSpot-Signature-Version: v1. The body is the raw one, as it arrived. */
export function verifyHubspotV1({ secret, body, signature }) {
  const expected = createHash("sha256").update(secret).update(body).digest("hex");
  return expected.length === signature.length && timingSafeEqual(Buffer.from(expected), Buffer.from(signature));
}
