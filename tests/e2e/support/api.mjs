/**
 * The HTTP API as a caller sees it. Every error answer is held against RFC 9457, our own fields
 * included, and every request and answer against the API's description, whatever the test is about.
 */

import assert from "node:assert/strict";

import { conform } from "./openapi.mjs";
import { until } from "./wait.mjs";

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {Headers} headers
 * @property {any} body parsed where it is JSON
 * @property {string} text
 *
 * @typedef {object} CallOptions
 * @property {any} [json] sent as `application/json`
 * @property {string | Uint8Array} [raw] sent as it is
 * @property {Record<string, string>} [headers]
 * @property {string | null} [token] another token, or none
 */

export class Api {
  /** Whether calls are held against the API's description; not those about what another version wrote. */
  described = true;
  #runtime;
  #token;

  /**
   * @param {{ url: string, adminToken: string }} runtime its address may change with a restart
   * @param {string | null} [token]
   */
  constructor(runtime, token = runtime.adminToken) {
    this.#runtime = runtime;
    this.#token = token;
  }

  /**
   * The same API for the holder of another token.
   *
   * @param {string | null} token
   */
  as(token) {
    return Object.assign(new Api(this.#runtime, token), { described: this.described });
  }

  /**
   * One request; no status is expected, but an error must be a problem.
   *
   * @param {string} method
   * @param {string} path
   * @param {CallOptions} [options]
   * @returns {Promise<Answer>}
   */
  async call(method, path, options = {}) {
    const token = options.token === undefined ? this.#token : options.token;
    const response = await fetch(this.#runtime.url + path, {
      method,
      redirect: "manual",
      headers: {
        ...(token !== null && { authorization: `Bearer ${token}` }),
        ...(options.json !== undefined && { "content-type": "application/json" }),
        ...options.headers,
      },
      body: options.json === undefined ? options.raw : JSON.stringify(options.json),
    });
    const text = await response.text();
    const answer = { status: response.status, headers: response.headers, body: parse(response, text), text };
    if (answer.status >= 400) assertProblem(answer, `${method} ${path}`);
    if (this.described) conform(method, path, options, answer);
    return answer;
  }

  /**
   * @param {number} status the one status that is right
   * @param {string} method
   * @param {string} path
   * @param {any} [json]
   * @param {CallOptions} [options]
   * @returns {Promise<any>} the body
   */
  async expect(status, method, path, json, options = {}) {
    const answer = await this.call(method, path, { json, ...options });
    assert.equal(answer.status, status, `${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer.body;
  }

  /** `GET` that must answer 200. @param {string} path @returns {Promise<any>} */
  get(path) {
    return this.expect(200, "GET", path);
  }

  /** Any call that must succeed. @returns {Promise<any>} */
  async done(method, path, json, options = {}) {
    const answer = await this.call(method, path, { json, ...options });
    assert.ok(answer.status < 300, `${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer.body;
  }

  /**
   * A call that must be refused.
   *
   * @param {number} status
   * @param {string} method
   * @param {string} path
   * @param {any} [json]
   * @param {CallOptions} [options]
   * @returns {Promise<{ status: number, code: string, detail: string, errors?: { pointer: string, message: string }[] }>}
   */
  refused(status, method, path, json, options) {
    assert.ok(status >= 400);
    return this.expect(status, method, path, json, options);
  }

  /** Creates or replaces a workflow. */
  workflow(id, definition) {
    return this.done("PUT", `/v1/workflows/${id}`, definition);
  }

  /** Stores a secret. */
  secret(name, value) {
    return this.done("PUT", `/v1/secrets/${name}`, { value });
  }

  /** Enrolls one record. @returns {Promise<{ id: string, status: string }>} */
  enroll(workflow, record, { event, key } = {}) {
    return this.expect(
      202,
      "POST",
      `/v1/workflows/${workflow}/enrollments`,
      { record, ...(event && { event }) },
      key === undefined ? {} : { headers: { "idempotency-key": key } },
    );
  }

  /** Enrolls up to 100 records. @returns {Promise<{ results: any[] }>} */
  enrollBatch(workflow, inputs) {
    return this.expect(202, "POST", `/v1/workflows/${workflow}/enrollments/batch`, { inputs });
  }

  /** One enrollment with its deliveries. */
  enrollment(workflow, id) {
    return this.get(`/v1/workflows/${workflow}/enrollments/${id}`);
  }

  /** One delivery with its request and attempts. */
  delivery(workflow, id) {
    return this.get(`/v1/workflows/${workflow}/deliveries/${id}`);
  }

  /** The counts of a workflow. */
  stats(workflow) {
    return this.get(`/v1/workflows/${workflow}/stats`);
  }

  /**
   * All items of a list, page by page.
   *
   * @param {string} path
   * @param {Record<string, string | number>} [query]
   * @returns {Promise<any[]>}
   */
  async all(path, query = {}) {
    const items = [];
    let cursor = null;
    do {
      const parameters = new URLSearchParams({ ...query, ...(cursor !== null && { cursor }) });
      const page = await this.get(`${path}?${parameters}`);
      items.push(...page.items);
      assert.notEqual(page.next_cursor, undefined, "a list names its next cursor, null included");
      assert.ok(cursor === null || page.next_cursor !== cursor, "a cursor moves on");
      cursor = page.next_cursor;
    } while (cursor !== null);
    return items;
  }

  /** The deliveries of a workflow, newest first. */
  deliveries(workflow, query) {
    return this.all(`/v1/workflows/${workflow}/deliveries`, query);
  }

  /** The delivery of an action of an enrollment, once it exists, with its attempts. */
  async deliveryOf(workflow, enrollment, action = 0) {
    const found = await until(`delivery ${action} of ${enrollment}`, async () => {
      const { deliveries } = await this.enrollment(workflow, enrollment);
      return typeof action === "number" ? deliveries[action] : deliveries.find((one) => one.action === action);
    });
    return this.delivery(workflow, found.id);
  }

  /** Waits until an enrollment has ended. */
  ended(workflow, enrollment, timeoutMs) {
    return until(
      `enrollment ${enrollment} to end`,
      async () => {
        const found = await this.enrollment(workflow, enrollment);
        return found.status !== "running" && found;
      },
      timeoutMs,
    );
  }

  /** Waits until the delivery of an action has a status. */
  settled(workflow, enrollment, status, action, timeoutMs) {
    return until(
      `a delivery of ${enrollment} to be ${status}`,
      async () => {
        const found = await this.deliveryOf(workflow, enrollment, action);
        return found.status === status && found;
      },
      timeoutMs,
    );
  }

  /** Waits until the delivery of an action has met some outcomes. */
  attempted(workflow, enrollment, count, action) {
    return until(`${count} attempts for ${enrollment}`, async () => {
      const found = await this.deliveryOf(workflow, enrollment, action);
      return found.attempts.length >= count && found;
    });
  }

  /** Waits until an action is active or paused. */
  actionState(workflow, action, state) {
    return until(`${action} of ${workflow} to be ${state}`, async () => {
      const found = (await this.stats(workflow)).actions[action];
      return found.state === state && found;
    });
  }

  /** Waits until no delivery of a workflow is open, and checks the books. */
  async drained(workflow, timeoutMs) {
    const stats = await until(
      `all deliveries of ${workflow} to end`,
      async () => {
        const found = await this.stats(workflow);
        assertBooksBalance(found);
        return found.open === 0 && found;
      },
      timeoutMs,
    );
    return stats;
  }
}

const COUNTS = ["accepted", "delivered", "rejected", "exhausted", "canceled", "open"];

/**
 * `accepted = delivered + rejected + exhausted + canceled + open`, as a whole and for each action.
 *
 * @param {any} stats
 */
export function assertBooksBalance(stats) {
  for (const [whose, counts] of [["the workflow", stats], ...Object.entries(stats.actions)]) {
    for (const name of COUNTS) {
      assert.ok(Number.isInteger(counts[name]) && counts[name] >= 0, `${name} of ${whose} is ${counts[name]}`);
    }
    assert.equal(
      counts.accepted,
      counts.delivered + counts.rejected + counts.exhausted + counts.canceled + counts.open,
      `the books of ${whose} balance: ${JSON.stringify(counts)}`,
    );
  }
  for (const name of COUNTS) {
    const sum = Object.values(stats.actions).reduce((total, action) => total + action[name], 0);
    assert.equal(stats[name], sum, `${name} is the sum over the actions: ${JSON.stringify(stats)}`);
  }
}

/**
 * @param {Answer} answer
 * @param {string} call
 */
export function assertProblem(answer, call) {
  const { body, headers, status, text } = answer;
  const said = `${call} answered ${status} ${headers.get("content-type")}: ${text.slice(0, 500)}`;
  assert.match(headers.get("content-type") ?? "", /^application\/problem\+json\b/, said);
  for (const field of ["type", "title", "detail"]) {
    assert.ok(typeof body?.[field] === "string" && body[field] !== "", `no ${field}: ${said}`);
  }
  assert.equal(body.status, status, said);
  assert.match(body.code ?? "", /^[a-z][a-z0-9_]*$/, said);
  if (body.errors === undefined) return;
  assert.ok(Array.isArray(body.errors) && body.errors.length > 0, said);
  for (const { pointer, message } of body.errors) {
    assert.match(pointer, /^(\/.*)?$/s, `${said}: a JSON pointer is empty or starts with a slash`);
    assert.ok(typeof message === "string" && message !== "", said);
  }
}

/** The pointers of a problem's errors, sorted. @param {{ errors?: { pointer: string }[] }} problem */
export function pointers(problem) {
  return (problem.errors ?? []).map(({ pointer }) => pointer).sort();
}

function parse(response, text) {
  const type = response.headers.get("content-type") ?? "";
  if (!/[/+]json\b/.test(type) || text === "") return text;
  return JSON.parse(text);
}
