import { of, Problem, type Api, type Enrollment, type Secret, type Workflow } from "../api";
import { rememberBin } from "./bins";

// The demo: what a person would do by hand with the first webhook, all of it by the API.

export const DEMO = "demo-order";
const FAILURES = 2;
const FIRST_RETRY_MS = 2_000;

/** What was made, kept for the tab, so that the bin's page can check signatures at once. */
const SECRETS_KEY = "varde.demo-secrets";

export function demoSecret(bin: string): string | undefined {
  return (JSON.parse(sessionStorage.getItem(SECRETS_KEY) ?? "{}") as Record<string, string>)[bin];
}

/** Makes a workflow to a bin that fails twice, enrolls a record, and gives its delivery. */
export async function makeDemo(api: Api, origin: string): Promise<{ delivery: string }> {
  const bin = await api.post<{ id: string; url: string }>("/v1/inspect");
  rememberBin(bin.id, "Demo");
  await api.put(`/v1/inspect/${bin.id}/reply`, {
    status: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ok: true, order: { id: "A-100", total: 12.5 } }),
    fail_first: FAILURES,
  });
  // A secret of its own, so that no other workflow's signature changes.
  const name = `demo-${bin.id.slice(0, 8)}`;
  const secret = await api.put<Secret>(`/v1/secrets/${name}`, { generate: "standard_webhooks" });
  if (secret.value) {
    const known = JSON.parse(sessionStorage.getItem(SECRETS_KEY) ?? "{}") as Record<string, string>;
    sessionStorage.setItem(SECRETS_KEY, JSON.stringify({ ...known, [bin.id]: secret.value }));
  }
  await api.put(of(DEMO), workflow(`${origin}/inspect/${bin.id}/orders`, name, await shards(api)));
  const record = {
    id: String(1_000 + Math.floor(Math.random() * 9_000)),
    properties: { email: "ada@example.com", firstname: "Ada", lifecyclestage: "customer" },
  };
  const { id } = await api.post<{ id: string }>(of(DEMO, "enrollments"), { record });
  const enrollment = await api.get<Enrollment>(of(DEMO, "enrollments", id));
  return { delivery: enrollment.deliveries[0]!.id };
}

/** Of a demo that is there already: they are fixed. */
async function shards(api: Api): Promise<number> {
  try {
    return (await api.get<Workflow>(of(DEMO))).shards ?? 1;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return 1;
    throw error;
  }
}

function workflow(url: string, secret: string, shards: number): Workflow {
  return {
    name: "Demo: an order",
    object_type: "contact",
    shards,
    actions: [
      {
        id: "create-order",
        type: "webhook",
        method: "POST",
        url,
        auth: { type: "standard_webhooks", secret },
        body: {
          kind: "properties",
          fields: [
            { name: "Email", value: { property: "email" } },
            { name: "First name", value: { property: "firstname" } },
            { name: "Record", value: { record: "id" } },
          ],
        },
        outputs: [{ name: "order_id", pointer: "/order/id", type: "string" }],
        retry: { first_ms: FIRST_RETRY_MS },
      },
    ],
  };
}
