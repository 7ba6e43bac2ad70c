// The Worker's main module: the wasm with its Durable Objects, and beside them the sender.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import Wasm, { OutboxObject } from "varde-wasm";

export * from "varde-wasm";

// What wasm exports, worker-build makes methods of one entrypoint.
const { serve, scheduled } = Wasm.prototype;

/** What wasm does, as a promise: it calls back with `(true, value)` or `(false, error)`. */
function promised(work) {
  return new Promise((resolve, reject) => work((kept, value) => (kept ? resolve(value) : reject(value))));
}

/** Requests from outside, and the timer. */
export default class extends WorkerEntrypoint {
  fetch(request) {
    return promised((done) => serve(request, this.env, this.ctx, false, done));
  }

  scheduled(event) {
    return scheduled.call(this, event);
  }
}

/**
 * The entrypoint that alarms hand their leases to, by the service binding SENDER of the Worker to itself. Requests
 * from outside always meet the default entrypoint.
 */
export class Sender extends WorkerEntrypoint {
  fetch(request) {
    return promised((done) => serve(request, this.env, this.ctx, true, done));
  }
}

/** Who has had something to do no longer ago than this may have more. */
const BUSY_MS = 1;
/** Until when this isolate is taken to have more to do than one thing. */
let busyUntil = 0;

/** The outbox, as one that takes remote procedure calls: for that the runtime wants a class of its own kind. */
export class Outbox extends DurableObject {
  #outbox;
  #turn = [];

  constructor(state, env) {
    super(state, env);
    this.#outbox = new OutboxObject(state, env);
  }

  fetch(request) {
    return this.#outbox.fetch(request);
  }

  alarm() {
    return this.#outbox.alarm();
  }

  /**
   * Takes messages, and gives a reply to each. Where there is much to do, what comes together is done in one turn: a
   * timer comes when the runtime has handed over everything that has arrived by then. Who comes alone needn't wait.
   */
  tell(messages) {
    return new Promise((resolve, reject) => {
      if (this.#turn.push({ messages, resolve, reject }) > 1) return;
      const now = Date.now();
      if (now < busyUntil) setTimeout(() => this.#takeTurn(Date.now() - now), 0);
      else this.#takeTurn(0);
    });
  }

  async #takeTurn(late) {
    // One that comes from here on belongs to the next turn.
    const calls = this.#turn.splice(0);
    try {
      const text = joinLines(calls.flatMap(({ messages }) => messages));
      const replies = splitLines(await promised((done) => this.#outbox.takeTurn(text, done)));
      for (const { messages, resolve } of calls) resolve(replies.splice(0, messages.length));
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
    // By as much as the timer was late there was other work, and will be for about as long.
    busyUntil = Date.now() + Math.max(BUSY_MS, late);
  }
}

/** In wasm there is a message, and a reply, on each line. */
function joinLines(messages) {
  if (messages.length === 1) return messages[0];
  const lines = new Uint8Array(messages.reduce((total, message) => total + 1 + message.length, -1));
  let at = 0;
  for (const message of messages) {
    if (at > 0) lines[at - 1] = 10;
    lines.set(message, at);
    at += message.length + 1;
  }
  return lines;
}

function splitLines(bytes) {
  const lines = [];
  let from = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
    // A copy: of a view the whole buffer would travel.
    lines.push(bytes.slice(from, at));
    from = at + 1;
  }
  lines.push(from > 0 ? bytes.slice(from) : bytes);
  return lines;
}
