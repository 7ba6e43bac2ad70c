import type { Explained, Scheme, Signed } from "../lib/core";

export const SCHEMES: Record<Scheme, string> = {
  hubspot_v3: "HubSpot v3",
  hubspot_v2: "HubSpot v2",
  hubspot_v1: "HubSpot v1",
  standard_webhooks: "Standard Webhooks",
  github: "GitHub (HMAC of the body, hex)",
  shopify: "Shopify (HMAC of the body, base64)",
};

export const PARTS: Record<Signed["parts"][number]["name"], string> = {
  secret: "secret",
  id: "id",
  method: "method",
  url: "URL",
  body: "body",
  timestamp: "timestamp",
  separator: "separator",
};

/** Signatures are there, and nothing to check them with. */
export const lacksSecret = ({ checks }: Explained): boolean => checks.length > 0 && checks.every(({ code }) => code === "no_secret");

/** The answer in a few words, and how good it is. */
export function verdict(answer: Explained): [words: string, kind: "delivered" | "scheduled" | "rejected"] {
  const { valid, checks } = answer;
  const good = checks.filter((check) => check.verdict === "valid").length;
  if (valid) return [checks.length === 1 ? "The signature is valid" : `All ${checks.length} signatures are valid`, "delivered"];
  if (checks.length === 0) return ["There is no signature to check", "rejected"];
  if (lacksSecret(answer)) return ["A signature is there; the secret is missing", "scheduled"];
  return [checks.length === 1 ? "The signature is not valid" : `${good} of ${checks.length} signatures are valid`, "rejected"];
}

export const ALGORITHMS = {
  sha256: "SHA-256 of these parts",
  hmac_sha256: "HMAC-SHA256 of these parts, with the secret as its key",
  hmac_sha256_swapped: "HMAC-SHA256 of the secret, with these parts as its key",
} as const;
