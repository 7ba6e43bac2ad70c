// The functions in samples/, with a call that holds the values of the request at hand: programs to copy and run.

import type { Scheme } from "../lib/core";
import { bytesLiteral, literal, type Language } from "./literals";

export type SampleScheme = Exclude<Scheme, "github" | "shopify"> | "standard_webhooks_ed25519";

export const SAMPLE_SCHEMES: [SampleScheme, string][] = [
  ["hubspot_v3", "HubSpot v3"],
  ["hubspot_v2", "HubSpot v2"],
  ["hubspot_v1", "HubSpot v1"],
  ["standard_webhooks", "Standard Webhooks"],
  ["standard_webhooks_ed25519", "Standard Webhooks, ed25519"],
];

/** What a sample is called with. */
export interface Values {
  method: string;
  url: string;
  /** As text where it is UTF-8. */
  body: string | Uint8Array;
  /** As the request writes their names. */
  header: (name: string) => [name: string, value: string] | undefined;
  /** In place of the header's. */
  signature: string;
  /** `undefined` leaves a variable of the environment in its place. */
  secret: string | undefined;
  /** The time of the check; without one, the request's own. */
  now: number | undefined;
}

/** Longest body that is written into a sample, in characters or bytes; more is hard to read, and no editor's friend. */
const MOST_BODY = 20_000;
const SECOND_MS = 1_000;

const FILES = import.meta.glob<string>("../../../samples/*/*", { query: "?raw", import: "default", eager: true });
const FOLDERS: Record<Language, [folder: string, extension: string]> = {
  Node: ["node", "mjs"],
  Python: ["python", "py"],
  PHP: ["php", "php"],
  Ruby: ["ruby", "rb"],
  Go: ["go", "go"],
  Rust: ["rust", "rs"],
};

interface Argument {
  name: string;
  code: string;
  comment?: string;
}

/** Writes the program. */
export function sample(language: Language, scheme: SampleScheme, values: Values): string {
  const [folder, extension] = FOLDERS[language];
  const file = FILES[`../../../samples/${folder}/${scheme}.${extension}`]!;
  return PROGRAMS[language](file, argumentsOf(language, scheme, values), values.secret === undefined);
}

const isHubspot = (scheme: SampleScheme): boolean => scheme.startsWith("hubspot");

function argumentsOf(language: Language, scheme: SampleScheme, values: Values): Argument[] {
  const text = (name: string, value: string, comment?: string): Argument => ({
    name,
    code: literal(language, value),
    ...(comment !== undefined && { comment }),
  });
  const header = (name: string, canonical: string, instead = ""): Argument => {
    const found = values.header(canonical);
    if (instead !== "") return text(name, instead, found?.[0] ?? canonical);
    return found ? text(name, found[1], found[0]) : text(name, "", `${canonical}: this request has none`);
  };
  const key: Argument =
    scheme === "standard_webhooks_ed25519"
      ? { name: "public_key", code: secretOf(language, "WEBHOOK_PUBLIC_KEY", values.secret) }
      : { name: "secret", code: secretOf(language, "WEBHOOK_SECRET", values.secret) };
  const body = bodyOf(language, values.body);
  const [time, unit] = isHubspot(scheme) ? ["X-HubSpot-Request-Timestamp", 1] : ["webhook-timestamp", SECOND_MS];
  const stamp = Number(values.header(time as string)?.[1]) * (unit as number);
  const now = nowOf(language, values.now ?? (Number.isSafeInteger(stamp) ? stamp : 0));

  if (!isHubspot(scheme)) {
    return [key, header("id", "webhook-id"), header("timestamp", "webhook-timestamp"), body, header("signatures", "webhook-signature", values.signature), now];
  }
  const address = [text("method", values.method), text("url", values.url, "as the sender calls it")];
  if (scheme === "hubspot_v1") return [key, body, header("signature", "X-HubSpot-Signature", values.signature)];
  if (scheme === "hubspot_v2") return [key, ...address, body, header("signature", "X-HubSpot-Signature", values.signature)];
  return [key, ...address, body, header("timestamp", "X-HubSpot-Request-Timestamp"), header("signature", "X-HubSpot-Signature-v3", values.signature), now];
}

function secretOf(language: Language, variable: string, secret: string | undefined): string {
  if (secret !== undefined) return literal(language, secret);
  return {
    Node: `process.env.${variable}`,
    Python: `os.environ["${variable}"]`,
    PHP: `getenv("${variable}")`,
    Ruby: `ENV.fetch("${variable}")`,
    Go: `os.Getenv("${variable}")`,
    Rust: `&std::env::var("${variable}").expect("${variable} is set")`,
  }[language];
}

function bodyOf(language: Language, body: string | Uint8Array): Argument {
  if (body.length > MOST_BODY) {
    return { name: "body", code: bytesLiteral(language, ""), comment: "the raw body as it arrived; this one is too long to stand here" };
  }
  return { name: "body", code: bytesLiteral(language, body), comment: "the raw body, as it arrived" };
}

function nowOf(language: Language, ms: number): Argument {
  const text = String(ms);
  const name = language === "Node" ? "now" : "now_ms";
  if (language === "Go") return { name, code: `time.UnixMilli(${text})`, comment: "when this request came; in your receiver, time.Now()" };
  if (language === "Rust") return { name, code: text, comment: "when this request came; in your receiver, the clock" };
  return { name, code: text, comment: "when this request came; leave it out in your receiver" };
}

type Program = (file: string, args: Argument[], fromEnvironment: boolean) => string;

/** One argument a line, each with its comment behind it. */
function listed(args: Argument[], indent: string, comment: string, write: (arg: Argument) => string, last = ","): string {
  const line = (arg: Argument, at: number): string =>
    `${indent}${write(arg)}${at < args.length - 1 ? "," : last}${arg.comment === undefined ? "" : ` ${comment} ${arg.comment}`}\n`;
  return args.map(line).join("");
}

const sorted = (lines: string): string => `${lines.trimEnd().split("\n").sort().join("\n")}\n`;
const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const functionOf = (file: string, pattern: RegExp): string => pattern.exec(file)![1]!;

const PROGRAMS: Record<Language, Program> = {
  Node: (file, args) => {
    const name = functionOf(file, /export function (\w+)/);
    return `${file}\n// The request at hand:\nconsole.log(\n  ${name}({\n${listed(args, "    ", "//", ({ name, code }) => `${camel(name)}: ${code}`)}  }),\n);\n`;
  },
  Python: (file, args, fromEnvironment) => {
    const name = functionOf(file, /def (\w+)/);
    const imported = fromEnvironment ? file.replace(/^(import \w+\n)+/, (lines) => sorted(`${lines}import os\n`)) : file;
    return `${imported}\n\n# The request at hand:\nprint(${name}(\n${listed(args, "    ", "#", ({ name, code }) => `${name}=${code}`)}))\n`;
  },
  PHP: (file, args) => {
    const name = functionOf(file, /function (\w+)/);
    return `${file}\n// The request at hand:\nvar_dump(${name}(\n${listed(args, "    ", "//", ({ name, code }) => `${camel(name)}: ${code}`)}));\n`;
  },
  Ruby: (file, args) => {
    const name = functionOf(file, /def (\w+)/);
    return `${file}\n# The request at hand:\nputs ${name}(\n${listed(args, "  ", "#", ({ name, code }) => `${name}: ${code}`, "")})\n`;
  },
  Go: (file, args, fromEnvironment) => {
    const name = functionOf(file, /func (Verify\w+)/);
    const more = fromEnvironment ? '\t"fmt"\n\t"os"\n' : '\t"fmt"\n';
    const program = file.replace("package webhooks\n", "package main\n").replace(/(?<=import \(\n)[^)]*/, (lines) => sorted(lines + more));
    return `${program}\n// The request at hand:\nfunc main() {\n\tfmt.Println(${name}(\n${listed(args, "\t\t", "//", ({ code }) => code)}\t))\n}\n`;
  },
  Rust: (file, args) => {
    const name = functionOf(file, /pub fn (\w+)/);
    return `${file}\n/// The request at hand.\nfn main() {\n    let valid = ${name}(\n${listed(args, "        ", "//", ({ code }) => code)}    );\n    println!("{valid}");\n}\n`;
  },
};
