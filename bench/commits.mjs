/**
 * Counts what a delivery costs in commits, for deliveries made one after another: how often the runtime
 * syncs an outbox's write-ahead log to the disk, which it does once a commit. The syncs of the local
 * runtime's own trace store don't count. It watches with strace, so it needs Linux and strace.
 *
 *   scripts/build --testing && node_modules/.bin/node bench/commits.mjs [deliveries]
 */

import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { Api } from "../tests/e2e/support/api.mjs";
import { makeAuthority } from "../tests/e2e/support/ca.mjs";
import { Receiver } from "../tests/e2e/support/receiver.mjs";
import { Runtime } from "../tests/e2e/support/runtime.mjs";
import { contact, oneAction } from "../tests/e2e/support/stage.mjs";

const WARM_UP = 20;
const deliveries = Number(process.argv[2] ?? 100);

const authority = await makeAuthority();
const receiver = await Receiver.start(authority.leaf);
const runtime = await Runtime.start({ authority: authority.certificate });
try {
  const api = new Api(runtime);
  const endpoint = receiver.endpoint("/hook");
  await api.workflow("bench", oneAction(endpoint.url));
  await deliver(api, endpoint, WARM_UP);
  const count = await watch(workerdsOf(runtime.group));
  await deliver(api, endpoint, deliveries);
  const each = ((await count()) / deliveries).toFixed(2);
  console.log(`${deliveries} deliveries, one after another: ${each} commits of the outbox a delivery`);
} finally {
  await runtime.stop();
  await receiver.stop();
}

/** Enrolls one record after another; each is settled before the next one comes. */
async function deliver(api, endpoint, many) {
  for (let n = 0; n < many; n++) {
    const before = endpoint.requests.length;
    await api.enroll("bench", contact(`${n}`));
    await endpoint.waitFor(before + 1);
    while ((await api.stats("bench")).open > 0);
  }
}

/** The workerd processes of a process group: one runs the Worker, one stands before it. */
function workerdsOf(group) {
  const isOne = (pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(stat);
      return name === "workerd" && Number(rest.split(" ")[2]) === group;
    } catch {
      return false; // It ended while we looked.
    }
  };
  const found = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isOne(name));
  if (found.length === 0) throw new Error(`no workerd in process group ${group}`);
  return found;
}

/** Starts counting; the function that it gives ends it and tells the count. */
async function watch(pids) {
  const strace = spawn("strace", ["-f", "-y", ...pids.flatMap((pid) => ["-p", pid]), "-e", "trace=fsync,fdatasync"]);
  let seen = "";
  strace.stderr.on("data", (data) => (seen += data));
  while (!seen.includes("attached")) {
    if (strace.exitCode !== null) throw new Error(`strace: ${seen}`);
    await sleep(20);
  }
  return async () => {
    strace.kill("SIGINT");
    await new Promise((ended) => strace.once("exit", ended));
    return seen.split("\n").filter((line) => /\b(fsync|fdatasync)\(\d+<[^>]*varde-Outbox[^>]*-wal>/.test(line)).length;
  };
}
