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


export type Scheme = "hubspot_v3" | "hubspot_v2" | "hubspot_v1" | "standard_webhooks" | "github" | "shopify";

/** A request that somebody asks about, with everything it may be signed with. */
export interface SignatureQuestion {
    method: string;
    /** The full URL. */
    url: string;
    headers?: [name: string, value: string][];
    /** The body as text; or its bytes, in `body_base64`. */
    body?: string;
    body_base64?: string;
    /** The secret that the check uses, then others that may have been used; at most 8. */
    secrets?: string[];
    /** Those that were in force before; at most 8. */
    previous_secrets?: string[];
    /** The scheme to look at; without one, all that the headers announce. For an HMAC of the body in a header
     * of another name: `github` (hex) or `shopify` (base64), with the header's value in `signature`. */
    scheme?: Scheme;
    /** A signature in place of the header's. */
    signature?: string;
    /** The addresses that the sender may call, for receivers behind a proxy. */
    public_urls?: string[];
    /** Unix milliseconds; without it no age is looked at. */
    now?: number;
    /** Search up to a second or two. */
    thorough?: boolean;
}

export interface Verified {
    /** Whether there is a signature and all of them are valid. */
    valid: boolean;
    checks: Check[];
}

export interface Explained extends Verified {
    /** Each reproduces the signature exactly; likeliest first. Empty where nothing does. */
    findings: Finding[];
    /** What to do where a signature stays unexplained, most useful first; `wrong_secret` among them. */
    next_steps: { code: string; text: string }[];
    /** How far the search went. */
    search: { tried: number; hashed_bytes: number; left_out: number };
}

export interface Check {
    scheme: Scheme;
    /** The header that holds the signature, in lower case. */
    header: string;
    verdict: "valid" | "refused";
    /** Why it is refused: a stable slug, and what a receiver logs. */
    code?: string;
    reason?: string;
    /** The bytes that the scheme signs, made of the request as given. */
    signed: Signed;
}

export interface Finding {
    scheme: Scheme;
    /** What went wrong, all of them together. */
    mistakes: Mistake[];
    /** Other mistakes that come to the same bytes with this request. */
    also: Mistake[];
    /** Which secret it was signed with, from 0, the previous ones counted on; null where none of them was. */
    secret: number | null;
    /** The bytes that were signed. */
    signed: Signed;
    /** Where they differ from what the scheme signs: the bytes around the first difference. */
    changes: { part: PartName; at: number; given: string; signed: string }[];
}

export interface Mistake {
    code: string;
    /** What it means, a sentence. */
    what: string;
    /** What to change, one or two sentences. */
    change: string;
}

export type PartName = "secret" | "id" | "method" | "url" | "body" | "timestamp" | "separator";

/** A message as it goes into the hash: its parts in order, with nothing between them. */
export interface Signed {
    algorithm: "sha256" | "hmac_sha256" | "hmac_sha256_swapped";
    /** `base64` where the bytes aren't UTF-8; a secret is never shown. */
    parts: ({ name: PartName } & ({ text: string } | { base64: string } | { hidden_bytes: number }))[];
}

/** A pasted request; its fields are those of a `SignatureQuestion`. */
export interface Pasted {
    method: string;
    /** Only path and query where the text names no host. */
    url: string;
    headers: [name: string, value: string][];
    /** The body as text; in `body_base64` where it isn't UTF-8. */
    body?: string;
    body_base64?: string;
}



/**
 * Checks a request, and says why its signatures aren't accepted.
 *
 * # Errors
 *
 * Throws a `VardeError` when the input can't be read.
 */
export function explain(input: SignatureQuestion | string): Explained;

/**
 * Reads a pasted raw HTTP request, curl command or HAR entry.
 *
 * # Errors
 *
 * Throws a `VardeError`, with the place in its message, when the text can't be read.
 */
export function parse_request(text: string): Pasted;

/**
 * Checks a request with every scheme whose signature it carries.
 *
 * # Errors
 *
 * Throws a `VardeError` when the input can't be read.
 */
export function verify(input: SignatureQuestion | string): Verified;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly explain: (a: any) => [number, number, number];
    readonly parse_request: (a: number, b: number) => [number, number, number];
    readonly verify: (a: any) => [number, number, number];
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
