/** The core as pages get it, from `www/pkg`. */

import { readFile } from "node:fs/promises";

const FOLDER = new URL("../../../www/pkg/", import.meta.url);

/** Loads a module as a page does, but for the fetch. */
export async function pageCore(name = "varde_web") {
  const module = await import(new URL(`${name}.js`, FOLDER).href);
  await module.default({ module_or_path: await readFile(new URL(`${name}_bg.wasm`, FOLDER)) });
  return module;
}

/** Which URL a page's preview shows for an action with this one, `null` when none is called. */
export function sentByPage(core, url) {
  const action = { id: "tell", type: "webhook", method: "GET", url };
  try {
    return core.preview({ action, object_type: "contact", record: { id: "1", properties: {} }, now: 0, allow_loopback: true }).request.url;
  } catch {
    return null;
  }
}
