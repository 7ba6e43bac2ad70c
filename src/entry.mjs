// The Worker's main module: the wasm with its Durable Objects, and beside them the sender.
import { WorkerEntrypoint } from "cloudflare:workers";
import Edge from "varde-wasm";

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
