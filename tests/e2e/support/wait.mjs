/**
 * Waiting for what the runtime does on its own. The bounds are there to end a broken run, not to
 * measure: a slow machine must not fail a test.
 */

import { setTimeout as sleep } from "node:timers/promises";

/** How long anything may take before a test gives up on it. */
export const PATIENCE_MS = 60_000;

const LOOK_EVERY_MS = 40;

/**
 * Asks again and again until the answer is there.
 *
 * @template T
 * @param {string} what said in the error
 * @param {() => Promise<T | undefined | false> | T | undefined | false} ask
 * @param {number} [timeoutMs]
 * @returns {Promise<T>} the first answer that is neither `undefined` nor `false`
 */
export async function until(what, ask, timeoutMs = PATIENCE_MS) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`gave up after ${timeoutMs} ms waiting for ${what}`);
    await sleep(LOOK_EVERY_MS);
  }
}
