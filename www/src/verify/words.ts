import type { Scheme } from "../lib/core";

export const SCHEMES: Record<Scheme, string> = {
  hubspot_v3: "HubSpot v3",
  hubspot_v2: "HubSpot v2",
  hubspot_v1: "HubSpot v1",
  standard_webhooks: "Standard Webhooks",
  github: "GitHub (HMAC of the body, hex)",
  shopify: "Shopify (HMAC of the body, base64)",
};

export const ALGORITHMS = {
  sha256: "SHA-256 of these parts",
  hmac_sha256: "HMAC-SHA256 of these parts, with the secret as its key",
  hmac_sha256_swapped: "HMAC-SHA256 of the secret, with these parts as its key",
} as const;
