// The core, as wasm, loaded when something first needs it.

import type { Action, Fields, Json, Mistake, Retry, VardeRecord } from "../api";
import { Problem } from "../api";

export interface Verified {
  valid: boolean;
  schemes: { scheme: string; header: string; valid: boolean; code?: string; message?: string }[];
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

interface Core {
  default(): Promise<unknown>;
  verify(input: SignatureCase): Verified;
  preview(input: string): Preview;
  schedule(input: { retry?: Retry; first_attempt?: number }): Schedule;
  validate_workflow(input: string): Json;
}

const found = import.meta.glob<Core>("../../pkg/varde_web.js");
let loading: Promise<Core> | undefined;

async function load(): Promise<Core> {
  const start = found["../../pkg/varde_web.js"];
  if (!start) throw new Error("these pages were built without the core");
  loading ??= start().then(async (core) => {
    await core.default();
    return core;
  });
  return loading;
}

/** Calls the core; its complaints look like the API's. */
async function ask<T>(call: (core: Core) => T): Promise<T> {
  const core = await load();
  try {
    return call(core);
  } catch (error) {
    const { code, message, errors } = error as { code?: string; message: string; errors?: Mistake[] };
    throw new Problem(0, code ?? "error", message, errors);
  }
}

export const verify = (input: SignatureCase): Promise<Verified> => ask((core) => core.verify(input));
// As text: JavaScript would turn 5.0 into 5 only here, and the page must show what the Worker sends.
export const preview = (input: PreviewInput): Promise<Preview> => ask((core) => core.preview(JSON.stringify(input)));
export const schedule = (retry: Retry, first_attempt: number): Promise<Schedule> =>
  ask((core) => core.schedule({ retry, first_attempt }));
export const validateWorkflow = (input: unknown): Promise<Json> =>
  ask((core) => core.validate_workflow(JSON.stringify(input)));
