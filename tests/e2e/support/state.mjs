/** The rows of a runtime's Durable Objects as text, and back: state that an earlier version wrote. */

import { mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

const HEADING = "-- database ";

/** The databases of Durable Objects below a folder, with their names in it. @param {string} folder */
export function databases(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.startsWith("v3/do/") && name.endsWith(".sqlite"))
    .sort();
}

/** Everything in them, as SQL. @param {string} folder the state of a runtime that doesn't run */
export function dump(folder) {
  const lines = [];
  for (const name of databases(folder)) {
    lines.push(HEADING + name);
    const database = new DatabaseSync(path.join(folder, name));
    const things = database.prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid").all();
    for (const { type, name: thing, sql } of things) {
      lines.push(`${sql};`);
      if (type !== "table") continue;
      const rows = database.prepare(`SELECT * FROM "${thing}"`);
      rows.setReadBigInts(true);
      for (const row of rows.all()) lines.push(`INSERT INTO "${thing}" VALUES (${Object.values(row).map(literal).join(", ")});`);
    }
    database.close();
  }
  return `${lines.join("\n")}\n`;
}

/** Makes the databases of a {@link dump}. @param {string} text @param {string} folder */
export function load(text, folder) {
  for (const part of text.split(HEADING).slice(1)) {
    const end = part.indexOf("\n");
    const file = path.join(folder, part.slice(0, end));
    mkdirSync(path.dirname(file), { recursive: true });
    const database = new DatabaseSync(file);
    database.exec(`PRAGMA journal_mode = WAL; BEGIN; ${part.slice(end)} COMMIT;`);
    database.close();
  }
}

function literal(value) {
  if (value === null) return "NULL";
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString("hex")}'`;
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME_BITS = 48n;

/**
 * A dump as if it had been written another time: times in milliseconds and nanoseconds, and the ids, which
 * begin with theirs.
 *
 * @param {string} text
 * @param {number} from when it was written
 * @param {number} to when it is to have been written
 */
export function shifted(text, from, to) {
  const by = to - from;
  const near = (ms) => Math.abs(ms - from) < 366 * 24 * 3_600_000;
  return text
    .replace(/\b\d{13}\b/g, (digits) => (near(Number(digits)) ? String(Number(digits) + by) : digits))
    .replace(/\b\d{19}\b/g, (digits) => (near(Number(BigInt(digits) / 1_000_000n)) ? String(BigInt(digits) + BigInt(by) * 1_000_000n) : digits))
    .replace(/\b(enr|dlv|rpl)_([0-9a-hjkmnp-tv-z]{26})\b/g, (_, kind, id) => `${kind}_${at(id, by)}`);
}

function at(id, by) {
  let bits = 0n;
  for (const character of id) bits = bits * 32n + BigInt(ALPHABET.indexOf(character));
  bits += BigInt(by) << (128n - TIME_BITS);
  let text = "";
  for (let n = 0; n < 26; n += 1) {
    text = ALPHABET[Number(bits % 32n)] + text;
    bits /= 32n;
  }
  return text;
}
