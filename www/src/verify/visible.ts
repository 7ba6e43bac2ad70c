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

/** Cuts two texts into what they share at their start, where they differ, and what they share at their end. */
export function difference(left: string, right: string): { start: string; left: string; right: string; end: string } {
  const [before, after] = [Array.from(left), Array.from(right)];
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < Math.min(before.length, after.length) - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  const middle = (characters: string[]): string => characters.slice(start, characters.length - end).join("");
  return { start: before.slice(0, start).join(""), left: middle(before), right: middle(after), end: before.slice(before.length - end).join("") };
}
