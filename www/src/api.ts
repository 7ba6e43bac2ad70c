// The HTTP API, typed by hand after its documentation.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Fields = { [name: string]: Json };

/** One mistake of an input: the JSON Pointer of its place, and what is wrong there. */
export interface Mistake {
  pointer: string;
  message: string;
}

/** What a failed call throws: RFC 9457's problem, or a network that isn't there. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly errors: Mistake[] = [],
  ) {
    super(message);
  }
}

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

export type Expr =
  | { property: string }
  | { event: string }
  | { output: string }
  | { record: "id" }
  | { now: "ms" | "iso8601" }
  | { static: Json }
  | { template: string };

export interface Member {
  name: string;
  value: Expr;
}

export type Body =
  | { kind: "all_properties" }
  | { kind: "none" }
  | { kind: "properties" | "form"; fields: Member[] }
  | { kind: "json"; template: Json }
  | { kind: "text"; content_type?: string; template: string };

export type Auth =
  | { type: "none" }
  | { type: "hubspot_signature"; secret: string; versions?: ("v1" | "v2" | "v3")[] }
  | { type: "standard_webhooks"; secret: string }
  | { type: "api_key"; location: "header" | "query"; name: string; secret: string }
  | { type: "bearer"; secret: string }
  | { type: "basic"; username: string; secret: string }
  | { type: "oauth2_client_credentials"; token_url: string; client_id: string; secret: string; scope?: string };

export type OutputType = "string" | "number" | "boolean" | "json";

export interface Output {
  name: string;
  pointer: string;
  type: OutputType;
  default?: Json;
}

export interface Retry {
  first_ms?: number;
  factor?: number;
  max_ms?: number;
  max_age_ms?: number;
  jitter?: number;
  retry_after_unit?: "milliseconds" | "seconds";
  also_retry?: number[];
}

export interface Action {
  id: string;
  type: "webhook";
  method: Method;
  url: string;
  auth?: Auth;
  headers?: Member[];
  query?: Member[];
  body?: Body;
  outputs?: Output[];
  timeout_ms?: number;
  rate_limit?: { requests: number; per_ms: number };
  retry?: Retry;
  on_failure?: "continue" | "stop";
}

export const METHODS = ["POST", "GET", "PUT", "PATCH", "DELETE"] as const;
export type Method = (typeof METHODS)[number];

/** A workflow's document, as it is put. */
export interface Workflow {
  name: string;
  object_type: string;
  ordering?: "none" | "record";
  shards?: number;
  retention_days?: number;
  actions: Action[];
}

export interface StoredWorkflow extends Workflow {
  id: string;
  version: number;
  created_at: number;
  updated_at: number;
}

export const STATUSES = [
  "scheduled",
  "in_flight",
  "held",
  "delivered",
  "rejected",
  "exhausted",
  "canceled",
] as const;
export type Status = (typeof STATUSES)[number];
export const isOpen = (status: Status): boolean =>
  status === "scheduled" || status === "in_flight" || status === "held";

export interface Attempt {
  number: number;
  started_at: number;
  duration_ms: number;
  outcome: "response" | "timeout" | "connect" | "lost" | "blocked";
  verdict: "delivered" | "retry" | "reject";
  status?: number;
  response?: { headers: Record<string, string>; body: string; truncated?: boolean };
  next_due?: number;
}

export interface Delivery {
  id: string;
  enrollment: string;
  workflow: string;
  action: string;
  record: string;
  status: Status;
  attempt: number;
  next_due?: number;
  created_at: number;
  settled_at?: number;
  reason?: string;
  replay_of?: string;
}

export interface DeliveryDetail extends Delivery {
  request?: { method: string; url: string; headers: Record<string, string>; body: string };
  attempts: Attempt[];
  outputs_note?: string;
}

export interface VardeRecord {
  id: string | number;
  properties: Fields;
  [more: string]: Json;
}

export interface Enrollment {
  id: string;
  status: "running" | "completed" | "failed" | "canceled";
  record: VardeRecord;
  event?: Fields;
  outputs: { [action: string]: Fields };
  deliveries: Delivery[];
  created_at: number;
  ended_at?: number;
  reason?: string;
}

export interface Counts {
  accepted: number;
  delivered: number;
  rejected: number;
  exhausted: number;
  canceled: number;
  open: number;
}

export interface Stats extends Counts {
  oldest_open_due?: number;
  actions: { [id: string]: Counts & { state: "active" | "paused"; reason?: string; breaker?: { open_since: number } } };
}

export interface TestAnswer {
  request?: { method: string; url: string; http_headers: Record<string, string>; body: string };
  response?: { status: number; headers: Record<string, string>; body: string; truncated?: boolean } | null;
  outcome?: string;
  reason?: string;
  /** Where there is no response: why, in words. */
  error?: string;
  /** Why some outputs are missing. */
  outputs_note?: string;
  duration_ms?: number;
  outputs?: Fields;
  curl?: string;
}

export interface Secret {
  name: string;
  created_at: number;
  previous_until?: number;
  hosts?: string[];
  /** Only in the answer to the call that made it. */
  value?: string;
}

export const SCOPES = ["admin", "enroll", "read"] as const;
export type Scope = (typeof SCOPES)[number];

export interface Token {
  id: string;
  name?: string;
  scopes: Scope[];
  created_at: number;
  /** Only in the answer to the call that made it. */
  token?: string;
}

export interface Arrival {
  id: string;
  at: number;
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
  body_base64?: string;
  truncated?: boolean;
  answered: number;
}

export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: string;
  delay_ms: number;
  fail_first: number;
}

export type Verify =
  | { type: "none" }
  | { type: "token"; secret: string; location: "header" | "query"; name: string }
  | { type: "hubspot_v1" | "hubspot_v2" | "hubspot_v3" | "standard_webhooks"; secret: string }
  | {
      type: "hmac";
      secret: string;
      header: string;
      algorithm?: string;
      encoding?: string;
      prefix?: string;
    };

export const PROPERTY_TYPES = ["string", "number", "boolean", "date", "datetime", "enumeration"] as const;
export type PropertyType = (typeof PROPERTY_TYPES)[number];

export interface Mapping {
  pointer: string;
  property: string;
  type: PropertyType;
  label?: string;
}

export interface Trigger {
  id: string;
  workflow: string;
  name: string;
  url: string;
  state: "listening" | "published";
  verify: Verify;
  mapping: Mapping[];
  match: string | null;
}

export interface TriggerEvents {
  items: {
    id: string;
    at: number;
    status: number;
    reason?: string;
    detail?: string;
    enrollments?: string[];
    headers: Record<string, string>;
    body: string;
    truncated?: boolean;
  }[];
  schema: { pointer: string; type: PropertyType; sample: Json }[];
}

export interface BulkReplay {
  id: string;
  status: "running" | "done" | "canceled";
  created_at: number;
  filter: { status: string; action?: string; since?: number; until?: number };
  matched: number;
  replayed: number;
  skipped: number;
  delivered: number;
  open: number;
}

/** The answer to a dry run, which leaves nothing behind. */
export interface DryRun {
  dry_run: true;
  matched: number;
}

export interface Imported {
  workflows: (Workflow & { id?: string })[];
  not_carried_over: { workflow?: string; action_id?: string; type: string; action_type_id?: string; reason: string }[];
  /** What the drafts need, and whose value only a person knows. */
  secrets: { name: string; value_is: string }[];
}

type Query = Record<string, string | number | undefined>;

/** Calls with one token. */
export class Api {
  constructor(
    private readonly token: string,
    /** Told when a call is refused for its token. */
    private readonly refused: () => void = () => {},
  ) {}

  get<T>(path: string, query: Query = {}): Promise<T> {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
    const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return this.call("GET", text === "" ? path : `${path}?${text}`);
  }
  put<T>(path: string, body: unknown): Promise<T> {
    return this.call("PUT", path, body);
  }
  post<T>(path: string, body?: unknown): Promise<T> {
    return this.call("POST", path, body);
  }
  delete(path: string): Promise<void> {
    return this.call("DELETE", path);
  }

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch(() => {
      throw new Problem(0, "unreachable", "The server can't be reached.");
    });
    const text = await response.text();
    const answer: unknown = parsed(text);
    if (response.ok) return answer as T;
    if (response.status === 401) this.refused();
    throw problem(response.status, answer);
  }
}

function parsed(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}

function problem(status: number, answer: unknown): Problem {
  const { code, detail, title, errors } = (typeof answer === "object" && answer ? answer : {}) as {
    code?: string;
    detail?: string;
    title?: string;
    errors?: Mistake[];
  };
  return new Problem(status, code ?? "error", detail ?? title ?? `The server answered ${status}.`, errors);
}

/** Path of a workflow, and of what is below it. */
export function of(workflow: string, ...rest: string[]): string {
  return ["/v1/workflows", workflow, ...rest].map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join("/");
}
