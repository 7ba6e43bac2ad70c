import { createHash, timingSafeEqual } from "node:crypto";

/** X-HubSpot-Signature with X-HubSpot-Signature-Version: v2. The URL is the whole one, as the sender called it. */
export function verifyHubspotV2({ secret, method, url, body, signature }) {
  const expected = createHash("sha256").update(secret + method + url).update(body).digest("hex");
  return expected.length === signature.length && timingSafeEqual(Buffer.from(expected), Buffer.from(signature));
}
