// The core, as wasm, loaded when something first needs it.

import type { Action, Fields, Json, Mistake, Retry, VardeRecord } from "../api";
import { Problem } from "../api";

/** What the doctor says of a request's signatures. */
export interface Explained {
  valid: boolean;
  checks: { scheme: string; header: string; verdict: "valid" | "refused"; code?: string; reason?: string }[];
  findings: { scheme: string; mistakes: { code: string; what: string; change: string }[] }[];
  next_steps: { code: string; text: string }[];
}

export interface SignatureCase {
  method: string;
  url: string;
  headers: [name: string, value: string][];
  body?: string;
  body_base64?: string;
  secrets: string[];
  now: number;
}

export interface Preview {
  request: { method: string; url: string; headers: [name: string, value: string][]; body: string };
  added: { location: "header" | "query"; name: string; value: string }[];
}

export interface PreviewInput {
  action: Action;
  object_type: string;
  record: VardeRecord;
  event?: Fields;
  outputs?: Json;
  now: number;
  allow_loopback?: boolean;
}

export interface Schedule {
  retries: { attempt: number; gap_ms: number; due: number; earliest: number; latest: number }[];
  window_ends: number;
}

// Two modules: who checks a signature doesn't load the template engine.
interface Verifier {
  default(): Promise<unknown>;
  explain(input: SignatureCase): Explained;
}

interface Renderer {
  default(): Promise<unknown>;
  preview(input: string): Preview;
  schedule(input: { retry?: Retry; first_attempt?: number }): Schedule;
}

const found = import.meta.glob<Verifier | Renderer>("../../pkg/varde_{verify,web}.js");
const loading = new Map<string, Promise<unknown>>();

function load<Core extends Verifier | Renderer>(name: string): Promise<Core> {
  const start = found[`../../pkg/${name}.js`];
  if (!start) return Promise.reject(new Error("these pages were built without the core"));
  const begun =
    loading.get(name) ??
    start().then(async (core) => {
      await core.default();
      return core;
    });
  loading.set(name, begun);
  return begun as Promise<Core>;
}

/** Calls the core; its complaints look like the API's. */
async function ask<Core extends Verifier | Renderer, T>(name: string, call: (core: Core) => T): Promise<T> {
  const core = await load<Core>(name);
  try {
    return call(core);
  } catch (error) {
    const { code, message, errors } = error as { code?: string; message: string; errors?: Mistake[] };
    throw new Problem(0, code ?? "error", message, errors);
  }
}

export const explain = (input: SignatureCase): Promise<Explained> =>
  ask("varde_verify", (core: Verifier) => core.explain(input));
// As text, so that no number changes on its way.
export const preview = (input: PreviewInput): Promise<Preview> =>
  ask("varde_web", (core: Renderer) => core.preview(JSON.stringify(input)));
export const schedule = (retry: Retry, first_attempt: number): Promise<Schedule> =>
  ask("varde_web", (core: Renderer) => core.schedule({ retry, first_attempt }));
