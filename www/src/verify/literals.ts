// Texts and bytes as the languages write them. What can't be seen, or could reorder the code that is shown, is escaped.

export const LANGUAGES = ["Node", "Python", "PHP", "Ruby", "Go", "Rust"] as const;
export type Language = (typeof LANGUAGES)[number];

const hex = (number: number, digits = 0): string => number.toString(16).padStart(digits, "0");
const short = (code: number): string => (code > 0xffff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`);
const braced = (code: number): string => `\\u{${hex(code)}}`;

const ESCAPES: Record<Language, (code: number) => string> = { Node: braced, Python: short, PHP: braced, Ruby: braced, Go: short, Rust: braced };
/** What starts a variable inside quotes. */
const INTERPOLATES: Partial<Record<Language, string>> = { PHP: "$", Ruby: "#" };
const NAMED: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };
const UNPRINTABLE = /[\p{C}\p{Z}]/u;

/** A text in double quotes. */
export function literal(language: Language, text: string): string {
  const escaped = Array.from(text, (character) => {
    const named = NAMED[character];
    if (named !== undefined) return named;
    if (character === INTERPOLATES[language]) return `\\${character}`;
    if (character === " " || !UNPRINTABLE.test(character)) return character;
    const code = character.codePointAt(0)!;
    // Half of a surrogate pair is no character in any of them.
    return ESCAPES[language](code >= 0xd800 && code <= 0xdfff ? 0xfffd : code);
  });
  return `"${escaped.join("")}"`;
}

/** The bytes of a body, as the language's samples take them. */
export function bytesLiteral(language: Language, body: string | Uint8Array): string {
  if (typeof body !== "string") return rawLiteral(language, body);
  const text = literal(language, body);
  // Python's bytes hold ASCII only.
  if (language === "Python") return /^[\x20-\x7e]*$/.test(body) ? `b${text}` : `${text}.encode()`;
  if (language === "Go") return `[]byte(${text})`;
  return language === "Rust" ? `${text}.as_bytes()` : text;
}

function rawLiteral(language: Language, bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => hex(byte, 2));
  const escaped = digits.map((pair) => `\\x${pair}`).join("");
  if (language === "Node") return `Buffer.from("${digits.join("")}", "hex")`;
  if (language === "Python" || language === "Rust") return `b"${escaped}"`;
  if (language === "Ruby") return `"${escaped}".b`;
  return language === "Go" ? `[]byte("${escaped}")` : `"${escaped}"`;
}
