// The core, as wasm, loaded when something first needs it. Two modules: who checks a signature doesn't load the
// template engine. They are made by scripts/build-web.

import type { Check, Explained, Finding, Pasted, Scheme, Signed, SignatureQuestion, VardeError } from "../../pkg/varde_verify";
import type { Preview, Schedule } from "../../pkg/varde_web";
import { Problem, type Action, type Fields, type Json, type Retry, type VardeRecord } from "../api";

export type { Check, Explained, Finding, Pasted, Preview, Scheme, Signed, SignatureQuestion };

/** A pasted text that can't be read, and where: lines and columns count from 1, columns in characters. */
export class Unreadable extends Problem {
  constructor(
    code: string,
    message: string,
    readonly line: number,
    readonly column: number,
  ) {
    super(0, code, message);
  }
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

/** Loads a module once, however many ask for it. */
function once<Core extends { default: () => Promise<unknown> }>(start: () => Promise<Core>): () => Promise<Core> {
  let loading: Promise<Core> | undefined;
  return () =>
    (loading ??= start().then(async (core) => {
      await core.default();
      return core;
    }));
}

const verifier = once(() => import("../../pkg/varde_verify"));
const renderer = once(() => import("../../pkg/varde_web"));

/** Calls the core; its complaints look like the API's. */
async function ask<Core, T>(loaded: Promise<Core>, call: (core: Core) => T): Promise<T> {
  const core = await loaded;
  try {
    return call(core);
  } catch (error) {
    const { code, message, errors, line, column } = error as Partial<VardeError> & Error;
    if (line !== undefined && column !== undefined) throw new Unreadable(code ?? "error", message, line, column);
    throw new Problem(0, code ?? "error", message, errors);
  }
}

/** Loads what checks signatures, so that nothing has to be loaded when it is asked. */
export const loadVerifier = (): Promise<unknown> => verifier();

/** Reads a pasted raw request, curl command or HAR entry. */
export const parseRequest = (text: string): Promise<Pasted> => ask(verifier(), (core) => core.parse_request(text));

/** Checks a request's signatures, and says why they aren't valid. */
export const explain = (input: SignatureQuestion): Promise<Explained> => ask(verifier(), (core) => core.explain(input));

/** Renders what an action would send. As text, so that no number changes on its way. */
export const preview = (input: PreviewInput): Promise<Preview> =>
  ask(renderer(), (core) => core.preview(JSON.stringify(input)));

/** Writes a retry policy out as a list of times. */
export const schedule = (retry: Retry, first_attempt: number): Promise<Schedule> =>
  ask(renderer(), (core) => core.schedule(JSON.stringify({ retry, first_attempt })));
