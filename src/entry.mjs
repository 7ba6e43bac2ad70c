// The Worker's main module: the wasm with its Durable Objects, and beside them the sender.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import Edge, { Outbox as WasmOutbox } from "varde-wasm";

export { default } from "varde-wasm";
export * from "varde-wasm";

/**
 * The entrypoint that alarms hand their leases to, by the service binding SENDER of the Worker to itself.
 *
 * It is the same fetch handler with one more value in its env. Requests from outside always meet the
 * default entrypoint and can't set env, so that value tells the two apart.
 */
export class Sender extends WorkerEntrypoint {
  fetch(request) {
    return new Edge(this.ctx, { ...this.env, VARDE_ENTRYPOINT: "sender" }).fetch(request);
  }
}

/** An outbox whose last turn is no longer ago than this has more to do than one thing at a time. */
const BUSY_MS = 3;

/** The outbox, as one that takes remote procedure calls: for that the runtime wants a class of its own kind. */
export class Outbox extends DurableObject {
  #outbox;
  #turn = [];
  #lastTurnAt = 0;

  constructor(state, env) {
    super(state, env);
    this.#outbox = new WasmOutbox(state, env);
  }

  fetch(request) {
    return this.#outbox.fetch(request);
  }

  alarm() {
    return this.#outbox.alarm();
  }

  /** Takes messages, one on each line, and gives a reply to each. What comes together is done in one turn. */
  exchange(lines) {
    return new Promise((resolve, reject) => {
      if (this.#turn.push({ lines, resolve, reject }) > 1) return;
      // A timer comes when the runtime has handed over everything that has arrived by then. Who comes alone
      // needn't wait for it.
      if (Date.now() - this.#lastTurnAt < BUSY_MS) setTimeout(() => this.#takeTurn(), 0);
      else this.#takeTurn();
    });
  }

  async #takeTurn() {
    // One that comes from here on belongs to the next turn.
    const calls = this.#turn.splice(0);
    this.#lastTurnAt = Date.now();
    try {
      const replies = await this.#outbox.exchange(calls.map(({ lines }) => lines));
      calls.forEach(({ resolve }, at) => resolve(replies[at]));
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  }
}
