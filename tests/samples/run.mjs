// Reads cases from stdin, and says of each whether the sample takes it.
import { readFileSync } from "node:fs";

import { verifyHubspotV1 } from "../../samples/node/hubspot_v1.mjs";
import { verifyHubspotV2 } from "../../samples/node/hubspot_v2.mjs";
import { verifyHubspotV3 } from "../../samples/node/hubspot_v3.mjs";
import { verifyStandardWebhooks } from "../../samples/node/standard_webhooks.mjs";
import { verifyStandardWebhooksEd25519 } from "../../samples/node/standard_webhooks_ed25519.mjs";

const verify = {
  hubspot_v1: verifyHubspotV1, hubspot_v2: verifyHubspotV2, hubspot_v3: verifyHubspotV3,
  standard_webhooks: (one) => verifyStandardWebhooks({ ...one, signatures: one.signature }),
  standard_webhooks_ed25519: (one) => verifyStandardWebhooksEd25519({ ...one, publicKey: one.secret, signatures: one.signature }),
};
const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map((one) => verify[one.scheme]({ ...one, body: Buffer.from(one.body) }))));
