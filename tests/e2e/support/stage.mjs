/**
 * What every story needs: a runtime, a receiver that it trusts, and the API; one set for a test file.
 */

import { after } from "node:test";

import { Api } from "./api.mjs";
import { makeAuthority } from "./ca.mjs";
import { Receiver } from "./receiver.mjs";
import { Runtime } from "./runtime.mjs";

/**
 * Starts it all, and ends it after the file's last test.
 *
 * @param {Partial<import("./runtime.mjs").Options>} [options]
 * @returns {Promise<{ runtime: Runtime, receiver: Receiver, api: Api, authority: import("./ca.mjs").Authority }>}
 */
export async function stage(options = {}) {
  const authority = await makeAuthority();
  const receiver = await Receiver.start(authority.leaf);
  after(() => receiver.stop());
  const runtime = await Runtime.start({ authority: authority.certificate, ...options });
  after(() => runtime.stop());
  return { runtime, receiver, api: new Api(runtime), authority };
}

/** A retry policy that tests can wait for: no dice, so that a gap can be held against the number. */
export const quickly = { first_ms: 100, factor: 1, max_ms: 100, jitter: 0 };

/**
 * A workflow of one POST to an URL.
 *
 * @param {string} url
 * @param {Record<string, any>} [action] what differs from the plain action
 * @param {Record<string, any>} [workflow] what differs from the plain workflow
 */
export function oneAction(url, action = {}, workflow = {}) {
  return {
    name: "Tell the shop",
    object_type: "contact",
    actions: [{ id: "tell", type: "webhook", method: "POST", url, retry: quickly, ...action }],
    ...workflow,
  };
}

/** A contact. @param {string} [id] @param {Record<string, any>} [properties] */
export function contact(id = "51", properties = { email: "ada@example.com" }) {
  return { id, properties };
}
