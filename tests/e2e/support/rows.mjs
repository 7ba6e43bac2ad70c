/**
 * The rows of a runtime that doesn't run: what its objects left behind, to be looked at or changed under
 * their feet.
 */

import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Where the runtime notes the alarms of all objects of a class. */
const ALARMS = "metadata.sqlite";

/** @typedef {import("./runtime.mjs").Runtime} Runtime */

/**
 * Runs a query on each outbox, and leaves no trace: a copy is asked.
 *
 * @param {Runtime} runtime killed before
 * @param {string} sql
 * @returns {any[]} the rows of all
 */
export function askOutboxes(runtime, sql) {
  const copy = mkdtempSync(path.join(tmpdir(), "varde-rows-"));
  try {
    cpSync(folder(runtime), copy, { recursive: true });
    const ask = (database) => (hasTables(database) ? database.prepare(sql).all() : []);
    return objects(copy).flatMap((file) => using(file, ask));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/**
 * Changes rows of the outboxes.
 *
 * @param {Runtime} runtime killed before
 * @param {string} sql
 * @param {...import("node:sqlite").SQLInputValue} values
 * @returns {number} how many rows changed
 */
export function changeOutboxes(runtime, sql, ...values) {
  const change = (database) => Number(database.prepare(sql).run(...values).changes);
  return objects(folder(runtime)).reduce((sum, file) => sum + using(file, change), 0);
}

/**
 * Loses the alarms of all outboxes: the runtime's note of when to ring, and with `forgotten` the object's own
 * note that there is one.
 *
 * @param {Runtime} runtime killed before
 * @param {{ forgotten: boolean }} how
 * @returns {number} how many there were
 */
export function loseAlarms(runtime, { forgotten }) {
  if (forgotten) changeOutboxes(runtime, "DELETE FROM _cf_METADATA WHERE key = 1");
  const lose = (database) => Number(database.prepare("DELETE FROM _cf_ALARM").run().changes);
  return using(path.join(folder(runtime), ALARMS), lose);
}

const folder = (runtime) => path.join(runtime.state, "v3", "do", "varde-Outbox");

const objects = (directory) =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".sqlite") && name !== ALARMS)
    .map((name) => path.join(directory, name));

/** An object that was killed before its first commit has none. */
const hasTables = (database) => database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'deliveries'").get() !== undefined;

function using(file, work) {
  const database = new DatabaseSync(file);
  try {
    return work(database);
  } finally {
    database.close();
  }
}
