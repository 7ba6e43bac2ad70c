import { createHmac, timingSafeEqual } from "node:crypto";

/** X-HubSpot-Signature-v3, with the time of X-HubSpot-Request-Timestamp. */
export function verifyHubspotV3({ secret, method, url, body, timestamp, signature, now = Date.now() }) {
  if (!/^\d+$/.test(timestamp) || now - Number(timestamp) > 300_000) return false;
  // Exactly these escapes are decoded, once.
  const uri = url.replace(/%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi, decodeURIComponent);
  const hmac = createHmac("sha256", secret).update(method + uri).update(body).update(timestamp);
  const expected = hmac.digest("base64");
  return expected.length === signature.length && timingSafeEqual(Buffer.from(expected), Buffer.from(signature));
}
