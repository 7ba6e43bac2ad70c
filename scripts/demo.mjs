// The demo of `npm run dev`: a workflow with one signed webhook to an inspector bin that fails twice.
//
// Everything goes through the HTTP API, as a user's program would do it. What the demo made is kept in
// .varde/demo.json, so that the next start uses the same bin and secret.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const WORKFLOW = "demo";
const SECRET = "demo";
const FIRST_RETRY_MS = 1_000;
const FAILURES = 2;
/** Three attempts take about 3.5 s; a busy machine gets ten times as long. */
const PATIENCE_MS = 40_000;
/** How often `followDemo` looks for attempts. */
const FOLLOW_MS = 2_000;
const OPEN = new Set(["scheduled", "in_flight", "held"]);

/**
 * Creates what is missing, enrolls one record, prints its attempts and checks the delivered signature.
 *
 * Gives the set of attempts it has printed, for `followDemo`.
 */
export async function runDemo(demo) {
  const api = client(demo);
  const { bin, secret } = await prepare(api, demo);
  const record = {
    id: String(1000 + randomBytes(2).readUInt16BE()),
    properties: { email: "ada@example.com", firstname: "Ada", lifecyclestage: "customer" },
  };
  const enrollment = await api("POST", `/v1/workflows/${WORKFLOW}/enrollments`, { record });
  demo.print("");
  demo.print(`Workflow "${WORKFLOW}": record ${record.id} is enrolled (${enrollment.id}).`);
  demo.print(`Its webhook goes to an inspector bin that fails the first ${FAILURES} calls; retries start after 1 s.`);

  const seen = new Set();
  const delivery = await watch(api, demo, enrollment.id, seen);
  demo.print(await signatureReport(api, bin, secret, delivery));
  demo.print("");
  demo.print("Enroll another record:");
  demo.print(`  ${curl(demo)}`);
  demo.print("");
  return seen;
}

/** Prints the attempts of all later deliveries of the demo workflow, until the process ends. */
export async function followDemo(demo, seen) {
  const api = client(demo);
  const ended = new Set();
  for (;;) {
    await sleep(FOLLOW_MS);
    // A rebuild takes the server away for a moment; the next look finds it again.
    try {
      const { items } = await api("GET", `/v1/workflows/${WORKFLOW}/deliveries?limit=20`);
      for (const { id, status } of items.reverse()) {
        if (ended.has(id)) continue;
        printAttempts(demo, await api("GET", `/v1/workflows/${WORKFLOW}/deliveries/${id}`), seen);
        if (!OPEN.has(status)) ended.add(id);
      }
    } catch {
      continue;
    }
  }
}

async function prepare(api, { origin, folder }) {
  const path = join(folder, "demo.json");
  const kept = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  const secret = kept.secret ?? randomBytes(24).toString("hex");
  const bin = (await reusableBin(api, kept.bin)) ?? (await api("POST", "/v1/inspect")).id;
  writeFileSync(path, `${JSON.stringify({ bin, secret })}\n`, { mode: 0o600 });

  await api("PUT", `/v1/secrets/${SECRET}`, { value: secret });
  await api("PUT", `/v1/inspect/${bin}/reply`, { status: 200, fail_first: FAILURES });
  await api("PUT", `/v1/workflows/${WORKFLOW}`, {
    name: "Demo",
    object_type: "contact",
    actions: [
      {
        id: "notify",
        type: "webhook",
        method: "POST",
        url: `${origin}/inspect/${bin}/hook`,
        auth: { type: "hubspot_signature", secret: SECRET },
        body: {
          kind: "properties",
          fields: [
            { name: "Email", value: { property: "email" } },
            { name: "First name", value: { property: "firstname" } },
            { name: "Record", value: { record: "id" } },
          ],
        },
        retry: { first_ms: FIRST_RETRY_MS },
      },
    ],
  });
  return { bin, secret };
}

async function reusableBin(api, bin) {
  if (bin === undefined) return undefined;
  return api("GET", `/v1/inspect/${bin}/requests`).then(
    () => bin,
    (error) => {
      if (error.status === 404) return undefined;
      throw error;
    },
  );
}

/** Prints the attempts of an enrollment's delivery as they happen, until it has ended; gives the delivery. */
async function watch(api, demo, enrollment, seen) {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const { deliveries } = await api("GET", `/v1/workflows/${WORKFLOW}/enrollments/${enrollment}`);
    for (const { id } of deliveries) {
      const delivery = await api("GET", `/v1/workflows/${WORKFLOW}/deliveries/${id}`);
      printAttempts(demo, delivery, seen);
      if (!OPEN.has(delivery.status)) return delivery;
    }
    await sleep(150);
  }
  throw new Error(`its delivery had not ended after ${PATIENCE_MS / 1000} s`);
}

function printAttempts(demo, delivery, seen) {
  for (const attempt of delivery.attempts) {
    const key = `${delivery.id} ${attempt.number}`;
    // An attempt that is still under way has no verdict yet.
    if (seen.has(key) || attempt.verdict === undefined) continue;
    seen.add(key);
    const after = ((attempt.started_at - delivery.created_at) / 1000).toFixed(1);
    const met = attempt.outcome === "response" ? `answered ${attempt.status}` : attempt.outcome;
    const next =
      attempt.next_due === undefined
        ? ""
        : `, next in ${((attempt.next_due - attempt.started_at - attempt.duration_ms) / 1000).toFixed(1)} s`;
    demo.print(
      `  ${delivery.id}  attempt ${attempt.number}  +${after} s  ${met} in ${attempt.duration_ms} ms  ${attempt.verdict}${next}`,
    );
  }
}

/** Checks, with Node's own crypto, the signatures of the request that the bin recorded last for a delivery. */
async function signatureReport(api, bin, secret, delivery) {
  if (delivery.status !== "delivered") return `  ended as ${delivery.status}: ${delivery.reason ?? "no reason given"}`;
  const { items } = await api("GET", `/v1/inspect/${bin}/requests`);
  const request = items
    .filter(({ headers }) => headers["webhook-id"] === delivery.id)
    .sort((a, b) => Number(b.headers["varde-attempt"]) - Number(a.headers["varde-attempt"]))[0];
  if (request === undefined) throw new Error("the inspector has no record of the delivered request");

  const expected = hubspotV3(secret, request);
  const signed = request.headers["x-hubspot-signature-v3"] ?? "";
  const valid = signed.length === expected.length && timingSafeEqual(Buffer.from(signed), Buffer.from(expected));
  return [
    `  HubSpot v3 signature of attempt ${request.headers["varde-attempt"]}: ${valid ? "valid" : "NOT VALID"}`,
    `    X-HubSpot-Signature-v3       ${signed}`,
    `    X-HubSpot-Request-Timestamp  ${request.headers["x-hubspot-request-timestamp"]}`,
    `    webhook-id                   ${request.headers["webhook-id"]}  (the same on every attempt)`,
  ].join("\n");
}

/** HubSpot's v3 signature: base64(HMAC-SHA256(secret, method + decoded URI + body + timestamp)). */
function hubspotV3(secret, { method, url, headers, body }) {
  const escapes = /%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi;
  const uri = url.replace(escapes, (escape) => decodeURIComponent(escape));
  const source = `${method}${uri}${body ?? ""}${headers["x-hubspot-request-timestamp"]}`;
  return createHmac("sha256", secret).update(source, "utf8").digest("base64");
}

function curl({ origin }) {
  const token = `$(sed -n 's/^VARDE_ADMIN_TOKEN="\\{0,1\\}\\([^"]*\\).*/\\1/p' .dev.vars)`;
  const body = JSON.stringify({ record: { id: "2", properties: { email: "grace@example.com", firstname: "Grace" } } });
  return `curl -X POST ${origin}/v1/workflows/${WORKFLOW}/enrollments -H "Authorization: Bearer ${token}" -H 'Content-Type: application/json' -d '${body}'`;
}

/** A function (method, path, body?) → the answer's JSON; throws an Error with the problem's words and `status`. */
function client({ origin, token }) {
  return async (method, path, body) => {
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    if (!response.ok) {
      const error = new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`);
      error.status = response.status;
      throw error;
    }
    return text === "" ? undefined : JSON.parse(text);
  };
}
