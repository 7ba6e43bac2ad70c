// Bytes as people can see them: what has no shape of its own gets one.

/** A run of characters; `mark` where they stand for others. */
export interface Run {
  text: string;
  mark: boolean;
}

/** What can't be seen, or not told from something else: white space, controls, and what reorders text. */
const INVISIBLE = /[\p{C}\p{Z}]/u;
const SIGNS: Record<string, string> = { " ": "·", "\t": "\\t", "\r\n": "\\r\\n\n", "\n": "\\n\n", "\r": "\\r" };
const PIECES = /\r\n|[\p{C}\p{Z}]|[^\p{C}\p{Z}]+/gu;

/** Takes a text apart into what is as it looks and what isn't. */
export function visible(text: string): Run[] {
  const runs: Run[] = [];
  for (const [piece] of text.matchAll(PIECES)) {
    const mark = INVISIBLE.test(piece);
    const shown = mark ? sign(piece) : piece;
    const last = runs.at(-1);
    if (last?.mark === mark) last.text += shown;
    else runs.push({ text: shown, mark });
  }
  return runs;
}

function sign(piece: string): string {
  return SIGNS[piece] ?? `\\u{${piece.codePointAt(0)!.toString(16)}}`;
}

/** How many characters two texts share at their start; never half of a surrogate pair. */
export function shared(left: string, right: string): number {
  let at = 0;
  while (at < left.length && left[at] === right[at]) at += 1;
  const before = left.charCodeAt(at - 1);
  return before >= 0xd800 && before <= 0xdbff ? at - 1 : at;
}
