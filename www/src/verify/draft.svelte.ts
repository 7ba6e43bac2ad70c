import type { Pasted, Scheme, SignatureQuestion } from "../lib/core";

/** Whether the age of a signature is looked at: not at all, by this computer's clock, or at a time. */
export type Clock = "ignored" | "now" | "at";

export interface OtherSecret {
  value: string;
  /** In force before, rather than one that somebody may have mixed up. */
  before: boolean;
}

/** The request of an empty page. */
export const NOTHING: Pasted = { method: "POST", url: "", headers: [] };

/** What a person fills in, by hand or by pasting. It is kept nowhere else. */
export class Draft {
  method = $state("POST");
  url = $state("");
  /** One a line. */
  headers = $state("");
  body = $state("");
  /** The body stands in `body` as base64, because it isn't text. */
  bodyIsBase64 = $state(false);
  secret = $state("");
  others = $state<OtherSecret[]>([]);
  scheme = $state<Scheme | "">("");
  signature = $state("");
  /** One a line. */
  publicUrls = $state("");
  clock = $state<Clock>("ignored");
  /** In Unix milliseconds, for the clock `at`. */
  at = $state(Date.now());

  readonly headerList = $derived(
    lines(this.headers)
      .map((line) => line.split(/:(.*)/s))
      .filter(([name, value]) => name?.trim() && value !== undefined)
      .map(([name, value]): [string, string] => [name!.trim(), value!.trim()]),
  );
  /** The first line of the headers that isn't one. */
  readonly wrongHeader = $derived(lines(this.headers).find((line) => !/^\s*[^\s:][^:]*:/.test(line)));
  readonly isBlank = $derived(this.url.trim() === "" && this.headers.trim() === "" && this.body === "" && this.signature.trim() === "");

  readonly question = $derived.by((): SignatureQuestion => {
    const others = (before: boolean): string[] =>
      this.others.filter((other) => other.before === before && other.value !== "").map(({ value }) => value);
    const previous = others(true);
    const publicUrls = lines(this.publicUrls).map((line) => line.trim());
    return {
      method: this.method,
      url: this.url.trim(),
      headers: this.headerList,
      ...(this.bodyIsBase64 ? { body_base64: this.body.trim() } : { body: this.body }),
      // Those after the first may only be tried, so none of them must come to stand there.
      ...(this.secret === "" ? {} : { secrets: [this.secret, ...others(false)] }),
      ...(previous.length > 0 && { previous_secrets: previous }),
      ...(this.scheme !== "" && { scheme: this.scheme }),
      ...(this.signature.trim() !== "" && { signature: this.signature }),
      ...(publicUrls.length > 0 && { public_urls: publicUrls }),
      ...(this.clock === "at" && { now: this.at }),
    };
  });

  /** Takes over a pasted request; what isn't part of one stays. */
  take({ method, url, headers, body, body_base64: bytes }: Pasted): void {
    this.method = method;
    this.url = url;
    this.headers = headers.map(([name, value]) => `${name}: ${value}`).join("\n");
    this.body = bytes ?? body ?? "";
    this.bodyIsBase64 = bytes !== undefined;
  }

  clear(): void {
    this.take(NOTHING);
    this.secret = this.signature = this.publicUrls = this.scheme = "";
    this.others = [];
    this.clock = "ignored";
  }

  /** A header's name as the request writes it, and its value. */
  header(name: string): [name: string, value: string] | undefined {
    return this.headerList.find(([known]) => known.toLowerCase() === name.toLowerCase());
  }
}

function lines(text: string): string[] {
  return text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== "");
}
