/** The vectors of this folder, for the tests in JavaScript. */

import { readFileSync } from "node:fs";

/**
 * Reads a file of vectors. Numbers keep their text: `5.0` and 2⁶⁴ would be others after JavaScript's parser.
 *
 * @param {string} name
 * @returns {any}
 */
export function vectors(name) {
  const text = readFileSync(new URL(`${name}.json`, import.meta.url), "utf8");
  return JSON.parse(text, (_key, value, { source }) => (typeof value === "number" ? JSON.rawJSON(source) : value));
}

/** @returns {{ id: string, input: string, request?: any, error?: string, action: any }[]} */
export function renderVectors() {
  return vectors("render").vectors.map(({ id, request, error, ...input }) => ({
    id,
    request,
    error,
    action: input.action,
    record: input.record,
    event: input.event,
    object_type: input.object_type,
    outputs: input.outputs,
    input: JSON.stringify(input),
  }));
}

/** A rendered request as the vectors have it, with the version left open. @param {any} request */
export function withoutVersion(request) {
  const headers = request.headers.map(([name, value]) => [name, value.replace(/^Varde\/\d+\.\d+\.\d+$/, "Varde/{version}")]);
  return { method: request.method, url: request.url, headers, body: request.body };
}
