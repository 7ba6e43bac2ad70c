// Requests to try the page with. They are as a sender makes them, or with the mistakes that are met most.

import type { Clock } from "./draft.svelte";

export interface Example {
  name: string;
  /** Whether its signature is right; the others show what a mistake looks like. */
  valid?: true;
  text: string;
  secret: string;
  clock?: Clock;
}

const SECRET = "5b1f8d7e-0c3a-4f7e-9a41-2d6c58e0b913";
const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SENT_MS = "1767323045000";
const BODY = '{"dealname":"Two towers","amount":80}';
/** The same, as something writes it that has parsed it. */
const WRITTEN_AGAIN = '{"dealname": "Two towers", "amount": 80}';
const V3 = "fGAVgXshnqF/BT3TgJ1IXIZX7mftBwIVJifKByqr1vc=";
const ID = "dlv_01kdyak3sejrt5cy4tqkff0492";

interface Parts {
  host?: string;
  path?: string;
  headers?: string[];
  signature?: string;
  body?: string;
}

function hubspot({ host = "hooks.example.com", path = "/orders?deal=503", headers = [], signature = V3, body = BODY }: Parts): string {
  return [
    `POST ${path} HTTP/1.1`,
    `Host: ${host}`,
    ...headers,
    "Content-Type: application/json",
    `X-HubSpot-Request-Timestamp: ${SENT_MS}`,
    `X-HubSpot-Signature-v3: ${signature}`,
    "",
    body,
  ].join("\n");
}

function standard(signature: string): string {
  return [
    "POST /orders HTTP/1.1",
    "Host: hooks.example.com",
    "Content-Type: application/json",
    `webhook-id: ${ID}`,
    "webhook-timestamp: 1767323045",
    `webhook-signature: ${signature}`,
    "",
    BODY,
  ].join("\n");
}

const CURL = `curl -X POST 'http://hooks.example.com/orders?deal=503' \\
  -H 'Content-Type: application/json' \\
  -H 'X-HubSpot-Request-Timestamp: ${SENT_MS}' \\
  -H 'X-HubSpot-Signature-v3: ${V3}' \\
  --data-raw '${BODY}'`;

const HAR = JSON.stringify(
  {
    request: {
      method: "POST",
      url: "http://hooks.example.com/orders?deal=503",
      headers: [
        { name: "X-HubSpot-Request-Timestamp", value: SENT_MS },
        { name: "X-HubSpot-Signature-v3", value: V3 },
      ],
      postData: { mimeType: "application/json", text: WRITTEN_AGAIN },
    },
  },
  null,
  2,
);

export const EXAMPLES: readonly Example[] = [
  { name: "HubSpot v3", valid: true, text: hubspot({}), secret: SECRET },
  { name: "Standard Webhooks", valid: true, text: standard("v1,bUjhtuWfPEGuxy2qQsyWCF2N5Ynb0hf+VNLdDoc689c="), secret: WHSEC },
  {
    name: "Public key (ed25519)",
    valid: true,
    text: standard("v1a,CAfG8GoqfvfNYZ6g7Krp0gl8/FtfWKwk6BhvPEUtdUtx0YBPFGh8zynjDYa+rsK8UMBZtOApOs1jOVIx6WpzAQ=="),
    secret: "whpk_dVxMuSVsp83ErP3Gz+7ahJAX5bn5UU6ZGRvWfgsNQnY=",
  },
  { name: "Body parsed and written again", text: hubspot({ body: WRITTEN_AGAIN }), secret: SECRET },
  { name: "http behind a proxy", text: CURL, secret: SECRET },
  { name: "Wrong host", text: hubspot({ host: "orders.internal:3000", headers: ["X-Forwarded-Host: hooks.example.com"] }), secret: SECRET },
  { name: "Two mistakes at once", text: HAR, secret: SECRET },
  { name: "Too old", text: hubspot({}), secret: SECRET, clock: "now" },
  { name: "Timestamp in seconds", text: hubspot({ signature: "R2QHtMh+01ffgCfzc3391VnXutbDEUCbhmo+D/4vq1M=" }), secret: SECRET },
  {
    name: "Escapes of v3 not decoded",
    text: hubspot({ path: "/orders?mail=ada%40example.com", signature: "ah80wjLMWYgrxzEFb8EdWkZcnX0HYir6/yL++gcGASI=" }),
    secret: SECRET,
  },
  { name: "whsec_ not decoded", text: standard("v1,TxJAutYjwczDMO1B+tOWnQL4igRmLvlAAUdGr9G8oVE="), secret: WHSEC },
  { name: "Wrong secret", text: hubspot({}), secret: "a6f0c2d1-93b7-4e55-8c1e-7f21b40d9e06" },
];
