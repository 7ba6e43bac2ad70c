const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `2.5 s`, `4 min`, `8 h`, `3 d`. */
export function duration(ms: number): string {
  const units: [number, string][] = [
    [DAY, "d"],
    [HOUR, "h"],
    [MINUTE, "min"],
    [SECOND, "s"],
  ];
  for (const [size, name] of units) {
    if (ms >= size) return `${ms / size < 10 ? Number((ms / size).toPrecision(2)) : Math.round(ms / size)} ${name}`;
  }
  return `${Math.round(ms)} ms`;
}

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** The reader's own date and time. */
export function moment(ms: number): string {
  return clock.format(ms);
}

/** `5 s ago`, `in 2 min`. */
export function relative(ms: number, now: number): string {
  const gap = ms - now;
  if (Math.abs(gap) < SECOND) return "now";
  // Seconds are whole here: it ticks.
  if (Math.abs(gap) < MINUTE) return gap < 0 ? `${Math.round(-gap / SECOND)} s ago` : `in ${Math.round(gap / SECOND)} s`;
  return gap < 0 ? `${duration(-gap)} ago` : `in ${duration(gap)}`;
}

const WORDS: Record<string, string> = {
  scheduled: "waiting",
  in_flight: "being sent",
  held: "held",
  in_progress: "in progress",
  window_used_up: "the retry window is used up",
  missing_output: "an output that it needs is missing",
  blocked_url: "the URL isn't allowed",
  workflow_changed: "the workflow was changed",
  connect: "no connection",
  timeout: "no answer in time",
  lost: "its sender was lost",
  gone: "gone (410)",
  waits_for_earlier: "waits for an earlier one of its record",
  breaker_open: "waits until the endpoint is back",
  canceled: "canceled by a person",
};

/** A slug of the API in words. */
export function words(slug: string): string {
  const status = /^http_(\d+)$/.exec(slug);
  return status ? `answered ${status[1]}` : (WORDS[slug] ?? slug.replaceAll("_", " "));
}

/** Indented where it is JSON, else as it is. */
export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A slug out of a name. */
export function slug(name: string): string {
  return name
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 63);
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`;
}

/** JSON Pointer, one step further. */
export function step(pointer: string, name: string | number): string {
  return `${pointer}/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}
