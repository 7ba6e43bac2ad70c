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
