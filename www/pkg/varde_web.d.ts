/* tslint:disable */
/* eslint-disable */
/** Anything that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** What every call throws. */
export interface VardeError extends Error {
    /** A stable slug: `invalid_input`, `malformed_json`, `missing_output`, … */
    code: string;
    /** All mistakes of an input, each with the JSON Pointer of its place. */
    errors?: { pointer: string; message: string }[];
}


export interface PreviewInput {
    /** An action as the API takes it. */
    action: Json;
    object_type: string;
    record: Json;
    event?: Json;
    /** `{action: {name: value}}`. */
    outputs?: Json;
    /** Unix milliseconds. */
    now: number;
    /** For a Worker on the developer's own machine. */
    allow_loopback?: boolean;
}

export interface Preview {
    /** The part that is the same on every attempt, byte for byte. */
    request: { method: string; url: string; headers: [name: string, value: string][]; body: string };
    /** What every attempt adds; `<…>` stands for what is secret or not known yet. */
    added: { location: "header" | "query"; name: string; value: string }[];
}

export interface ScheduleInput {
    /** A retry policy as the API takes it; what is left out has its default. */
    retry?: Json;
    /** Unix milliseconds; 0 if left out. */
    first_attempt?: number;
}

export interface Schedule {
    /** The policy with all defaults filled in. */
    retry: Json;
    retries: {
        /** The first retry is attempt 2. */
        attempt: number;
        /** Without jitter, as `due`. */
        gap_ms: number;
        due: number;
        /** Where jitter can move it. */
        earliest: number;
        latest: number;
    }[];
    /** No attempt starts after this. */
    window_ends: number;
}



/**
 * Renders what an action would send, with placeholders for secrets.
 *
 * # Errors
 *
 * Throws a `VardeError` when the input can't be read, or when nothing could be sent.
 */
export function preview(input: PreviewInput | string): Preview;

/**
 * Writes a retry policy out as a list of times.
 *
 * # Errors
 *
 * Throws a `VardeError` when the input can't be read.
 */
export function schedule(input: ScheduleInput | string): Schedule;

/**
 * Checks a single action, which may use any output, and returns it with all defaults filled in.
 *
 * # Errors
 *
 * Throws a `VardeError` with all mistakes.
 */
export function validate_action(input: Json): Json;

/**
 * Checks a workflow and returns it with all defaults filled in. URLs of the developer's own machine pass
 * here; whether a Worker may call them is the Worker's to say.
 *
 * # Errors
 *
 * Throws a `VardeError` with all mistakes.
 */
export function validate_workflow(input: Json): Json;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly preview: (a: any) => [number, number, number];
    readonly schedule: (a: any) => [number, number, number];
    readonly validate_action: (a: any) => [number, number, number];
    readonly validate_workflow: (a: any) => [number, number, number];
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_exn_store: (a: number) => void;
    readonly __externref_table_alloc: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
