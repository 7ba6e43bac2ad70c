/**
 * The other side of a webhook: an HTTPS server on loopback that answers as told and remembers
 * every request, byte for byte.
 */

import { once } from "node:events";
import https from "node:https";

import { PATIENCE_MS } from "./wait.mjs";

/**
 * What an endpoint answers. A number is a status with an empty body.
 *
 * @typedef {object} Script
 * @property {number} [status] default 200
 * @property {Record<string, string | string[]>} [headers]
 * @property {string | Buffer} [body]
 * @property {number} [delayMs] waits before it answers
 * @property {"hang" | "hold" | "close" | "drip"} [fault] `hang` never answers; `hold` waits for
 *   {@link Endpoint.release}; `close` drops the connection; `drip` sends headers and then a byte now
 *   and then, for ever
 *
 * @typedef {number | Script | ((request: Arrival, index: number) => number | Script)} Reply
 */

/**
 * One request as it arrived.
 *
 * @typedef {object} Arrival
 * @property {number} at Unix milliseconds when its head had arrived
 * @property {number | undefined} answeredAt Unix milliseconds just before the answer was written
 * @property {number | undefined} answered the status of that answer
 * @property {string} method
 * @property {string} target the request target, untouched
 * @property {string} url the whole URL that the sender must have had
 * @property {Record<string, string>} headers lower-case names
 * @property {string[]} rawHeaders names and values as they came
 * @property {Buffer} body
 * @property {string} text the body as UTF-8
 * @property {boolean} cut whether the sender went away before the answer was complete
 */

/** One path of the receiver with its own script and its own record. */
export class Endpoint {
  /** @type {Arrival[]} requests whose body has arrived, in the order of their arrival */
  requests = [];
  /** @type {{ arrival: Arrival, response: import("node:http").ServerResponse }[]} */
  held = [];
  #waiting = new Set();
  #replies;
  #seen = 0;

  /**
   * @param {string} path
   * @param {string} url
   * @param {Reply[]} replies
   */
  constructor(path, url, replies) {
    this.path = path;
    this.url = url;
    this.replyWith(...replies);
  }

  /**
   * Sets the script: one reply a request, the last one for all that follow.
   *
   * @param {...Reply} replies
   */
  replyWith(...replies) {
    this.#replies = replies.length > 0 ? replies : [200];
    this.#seen = 0;
  }

  /**
   * Resolves as soon as `count` requests have arrived.
   *
   * @param {number} count
   * @param {number} [timeoutMs] after this the wait is a failure
   * @returns {Promise<Arrival[]>}
   */
  waitFor(count, timeoutMs = PATIENCE_MS) {
    return this.#until(
      () => this.requests.length >= count,
      timeoutMs,
      () => `expected ${count} requests at ${this.path} within ${timeoutMs} ms, found ${this.requests.length}`,
    );
  }

  /**
   * Resolves as soon as `count` requests wait for {@link release}.
   *
   * @param {number} count
   * @param {number} [timeoutMs]
   * @returns {Promise<Arrival[]>}
   */
  waitForHeld(count, timeoutMs = PATIENCE_MS) {
    return this.#until(
      () => this.held.length >= count,
      timeoutMs,
      () => `expected ${count} held requests at ${this.path} within ${timeoutMs} ms, found ${this.held.length}`,
    );
  }

  /**
   * Answers held requests, the oldest first.
   *
   * @param {Reply} [reply]
   * @param {number} [count] default all
   */
  release(reply = 200, count = this.held.length) {
    for (const { arrival, response } of this.held.splice(0, count)) {
      perform(this.#script(reply, arrival, 0), arrival, response, this);
    }
  }

  /**
   * @param {Arrival} arrival
   * @param {import("node:http").ServerResponse} response
   */
  take(arrival, response) {
    const index = this.#seen++;
    this.requests.push(arrival);
    const reply = this.#replies[Math.min(index, this.#replies.length - 1)];
    perform(this.#script(reply, arrival, index), arrival, response, this);
    this.changed();
  }

  /** Looks whether somebody waits for what is now so. */
  changed() {
    for (const check of [...this.#waiting]) check();
  }

  #script(reply, arrival, index) {
    const chosen = typeof reply === "function" ? reply(arrival, index) : reply;
    return typeof chosen === "number" ? { status: chosen } : chosen;
  }

  #until(condition, timeoutMs, message) {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#waiting.delete(check);
        resolve(this.requests);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(check);
        reject(new Error(message()));
      }, timeoutMs);
      this.#waiting.add(check);
      check();
    });
  }
}

/** The server. Requests to a path that no endpoint has get 404 and are kept in `strays`. */
export class Receiver {
  /** @type {Map<string, Endpoint>} */
  #endpoints = new Map();
  /** @type {Arrival[]} */
  strays = [];
  #server;
  #origin = "";

  /** @param {{ key: string, cert: string }} leaf */
  constructor(leaf) {
    this.#server = https.createServer({ ...leaf, keepAlive: true }, (request, response) => {
      this.#serve(request, response);
    });
    // Node cuts connections that send no head in time; a silent sender is none of this server's business.
    this.#server.headersTimeout = 0;
    this.#server.requestTimeout = 0;
  }

  /**
   * @param {{ key: string, cert: string }} leaf
   * @param {number} [port] default a free one
   * @returns {Promise<Receiver>}
   */
  static async start(leaf, port = 0) {
    const receiver = new Receiver(leaf);
    receiver.#server.listen(port, "127.0.0.1");
    await once(receiver.#server, "listening");
    receiver.#origin = `https://127.0.0.1:${receiver.#server.address().port}`;
    return receiver;
  }

  /** `https://127.0.0.1:<port>` */
  get origin() {
    return this.#origin;
  }

  /**
   * Opens a path.
   *
   * @param {string} path
   * @param {...Reply} replies the script; default: 200 for all
   * @returns {Endpoint}
   */
  endpoint(path, ...replies) {
    if (this.#endpoints.has(path)) throw new Error(`the path ${path} is taken`);
    const endpoint = new Endpoint(path, this.#origin + path, replies);
    this.#endpoints.set(path, endpoint);
    return endpoint;
  }

  /** Closes the port and every connection. */
  async stop() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request, response) {
    const at = Date.now();
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
    } catch {
      return; // The sender went away in the middle of its request: that is no request.
    }
    const body = Buffer.concat(chunks);
    const arrival = {
      at,
      answeredAt: undefined,
      answered: undefined,
      method: request.method,
      target: request.url,
      url: this.#origin + request.url,
      headers: /** @type {Record<string, string>} */ (request.headers),
      rawHeaders: request.rawHeaders,
      body,
      text: body.toString("utf8"),
      cut: false,
    };
    const endpoint = this.#endpoints.get(request.url.split("?", 1)[0]);
    if (endpoint) {
      response.on("close", () => {
        arrival.cut = !response.writableFinished;
        endpoint.held = endpoint.held.filter((held) => held.response !== response);
        endpoint.changed();
      });
      endpoint.take(arrival, response);
    } else {
      this.strays.push(arrival);
      response.writeHead(404).end();
    }
  }
}

/** How long a dripping body waits between two bytes. */
const DRIP_MS = 50;

/**
 * @param {Script} script
 * @param {Arrival} arrival
 * @param {import("node:http").ServerResponse} response
 * @param {Endpoint} endpoint
 */
function perform(script, arrival, response, endpoint) {
  if (script.delayMs) {
    const { delayMs, ...rest } = script;
    const timer = setTimeout(() => perform(rest, arrival, response, endpoint), delayMs);
    response.once("close", () => clearTimeout(timer));
    return;
  }
  switch (script.fault) {
    case "hang":
      return;
    case "hold":
      endpoint.held.push({ arrival, response });
      return;
    case "close":
      response.destroy();
      return;
    case "drip": {
      response.writeHead(script.status ?? 200, script.headers);
      const timer = setInterval(() => response.write("."), DRIP_MS);
      response.once("close", () => clearInterval(timer));
      return;
    }
    case undefined:
      arrival.answered = script.status ?? 200;
      arrival.answeredAt = Date.now();
      response.writeHead(arrival.answered, script.headers).end(script.body);
      return;
    default:
      throw new Error(`no such fault: ${script.fault}`);
  }
}
