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
