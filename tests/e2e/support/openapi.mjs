/**
 * The API's description, held against what callers send and what they are answered. Every call of every
 * test goes through {@link conform}, so the description can't say something else than the server does.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import Ajv from "ajv/dist/2020.js";

export const FILE = new URL("../../../www/public/openapi.json", import.meta.url);
export const description = JSON.parse(readFileSync(FILE, "utf8"));

// Numbers are formats of Rust's; their bounds are in the schemas.
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema(description, "openapi");

/** Calls, those with more fixed parts first: `/v1/workflows/{workflow}/…/batch` before `…/{enrollment}`. */
const CALLS = Object.entries(description.paths)
  .flatMap(([path, item]) =>
    Object.entries(item).map(([method, call]) => ({ method: method.toUpperCase(), path, call, pattern: patternOf(path) })),
  )
  .sort((one, other) => parameters(one.path) - parameters(other.path));

function patternOf(path) {
  return new RegExp(`^${path.replace(/\{[^}]*\}/g, "[^/]+")}$`);
}

function parameters(path) {
  return path.split("{").length;
}

/** The described call that a request is, if there is one. */
export function callOf(method, path) {
  const plain = path.split("?")[0];
  return CALLS.find((call) => call.method === method && call.pattern.test(plain));
}

export { CALLS as calls };

const validators = new Map();

/** What is wrong with a value, by the schema at a pointer of the document; empty if nothing is. */
export function mistakesIn(value, ...pointer) {
  const place = pointer.map((part) => part.replaceAll("~", "~0").replaceAll("/", "~1")).map(encodeURIComponent).join("/");
  if (!validators.has(place)) validators.set(place, ajv.compile({ $ref: `openapi#/${place}` }));
  const validate = validators.get(place);
  return validate(value) ? [] : validate.errors.map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`);
}

/** Asserts that a request and its answer are as the description says. */
export function conform(method, path, options, answer) {
  // Bins answer as told, and the tests' own calls are in no released Worker.
  if (/^\/(inspect|__testing)\//.test(path)) return;
  const found = callOf(method, path);
  const said = `${method} ${path} answered ${answer.status}: ${answer.text.slice(0, 400)}`;
  if (found === undefined) {
    assert.ok([401, 403, 404].includes(answer.status), `this call isn't described: ${said}`);
    return;
  }
  // openapi.test.mjs knows which calls may be missing.
  if (answer.body?.code === "no_such_call") return;
  conformAnswer(found, answer, said);
  if (answer.status < 400) conformRequest(found, path, options, said);
}

function conformAnswer({ method, path, call }, answer, said) {
  let place = ["paths", path, method.toLowerCase(), "responses", String(answer.status)];
  let response = call.responses[answer.status];
  assert.ok(response, `this status isn't described: ${said}`);
  if (response.$ref) {
    place = response.$ref.split("/").slice(1);
    response = description.components.responses[place.at(-1)];
  }
  if (response.content === undefined) {
    assert.equal(answer.text, "", `no body is described: ${said}`);
    return;
  }
  const [type] = Object.keys(response.content);
  assert.ok((answer.headers.get("content-type") ?? "").startsWith(type), `${type} is described: ${said}`);
  const mistakes = mistakesIn(answer.body, ...place, "content", type, "schema");
  assert.deepEqual(mistakes, [], `the body isn't as described: ${said}`);
}

function conformRequest({ method, path, call }, sent, options, said) {
  const names = call.parameters.filter((parameter) => parameter.in === "query").map(({ name }) => name);
  for (const name of new URLSearchParams(sent.split("?")[1] ?? "").keys()) {
    assert.ok(names.includes(name), `the parameter ${name} isn't described: ${said}`);
  }
  if (options.json === undefined) {
    assert.ok(call.requestBody?.required !== true || options.raw !== undefined, `a body is described: ${said}`);
    return;
  }
  assert.ok(call.requestBody, `no body is described: ${said}`);
  const body = JSON.parse(JSON.stringify(options.json));
  const place = ["paths", path, method.toLowerCase(), "requestBody", "content", "application/json", "schema"];
  assert.deepEqual(mistakesIn(body, ...place), [], `what was accepted isn't described: ${JSON.stringify(body).slice(0, 400)}; ${said}`);
}
