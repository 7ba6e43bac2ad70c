/**
 * The real runtime: `wrangler dev` of a built Worker, with state and settings of its own.
 *
 * It runs in a process group of its own, so that a kill takes wrangler and workerd at once, and a
 * shell in that group watches a pipe from this process: if a test dies, however it dies, the pipe
 * closes and the group goes with it.
 */

import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { until } from "./wait.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));

/** Written by `scripts/build --testing`: the Worker with the routes and counters for tests, not built anew at a start. */
const TESTING_CONFIG = path.join(root, "wrangler.testing.toml");

// The first line of its group: starts the runtime, and ends the group when the runtime or the test ends.
const GUARD = `( "$@"; kill -KILL 0 ) & read -r _; kill -KILL 0`;

/** A start takes 2 s; a loaded machine may need many times that. */
const START_TIMEOUT_MS = 120_000;

/**
 * @typedef {object} Options
 * @property {string} [config] wrangler's configuration file; default: the Worker, in its testing flavour
 * @property {string} [authority] PEM of the authority that outgoing fetches trust
 * @property {Record<string, string>} [variables] beside the usual ones
 * @property {(folder: string) => void} [state] makes the state that it starts with; default: none
 */

/** A running `wrangler dev`, and its state while it does not run. */
export class Runtime {
  /** `http://127.0.0.1:<port>`; another one after a restart. */
  url = "";
  /** The bearer token that may do everything. */
  adminToken = randomBytes(32).toString("base64url");
  /** Milliseconds from the spawn to the first 200 of `/healthz`. */
  startMs = 0;
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #process;
  #directory = mkdtempSync(path.join(tmpdir(), "varde-e2e-"));
  #options;
  /** @type {Record<string, string>} */
  #variables = {};

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#write({
      VARDE_ADMIN_TOKEN: this.adminToken,
      VARDE_MASTER_KEY: randomBytes(32).toString("base64"),
      VARDE_MASTER_KEY_PREVIOUS: "",
      VARDE_DEV_ALLOW_LOOPBACK: "true",
      ...options.variables,
    });
    if (options.authority) writeFileSync(this.#file("authority.pem"), options.authority);
    options.state?.(this.state);
    process.on("exit", this.#atExit);
  }

  /**
   * Starts a runtime with empty state and waits until it answers.
   *
   * @param {Options} [options]
   * @returns {Promise<Runtime>}
   */
  static async start(options = {}) {
    const runtime = new Runtime(options);
    try {
      await runtime.#launch();
    } catch (error) {
      await runtime.kill9();
      throw error;
    }
    return runtime;
  }

  #write(variables) {
    Object.assign(this.#variables, variables);
    const lines = Object.entries(this.#variables).map(([name, value]) => `${name}='${value}'\n`);
    writeFileSync(this.#file("variables.env"), lines.join(""));
  }

  /** Where its rows are. Look at them while it doesn't run. */
  get state() {
    return this.#file("state");
  }

  /** What the runtime has printed since its first start. */
  output() {
    return existsSync(this.#file("output.log")) ? readFileSync(this.#file("output.log"), "utf8") : "";
  }

  /** The id of the process group. */
  get group() {
    return this.#process?.pid;
  }

  /** Kills wrangler and workerd in the middle of whatever they do, and waits until they are gone. */
  async kill9() {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
    signalGroup(child.pid, "SIGKILL");
    await exited;
    await until("the runtime's processes to end", () => !groupIsAlive(child.pid));
  }

  /**
   * Starts again, after {@link kill9}, with the state that was left.
   *
   * @param {Record<string, string>} [variables] what differs from before
   */
  async restart(variables = {}) {
    if (this.#process) throw new Error("the runtime is running");
    this.#write(variables);
    await this.#launch();
  }

  /** Ends the runtime. What it kept goes when the process ends, or stays for a look if a test failed. */
  async stop() {
    await this.kill9();
  }

  async #launch() {
    const started = Date.now();
    const child = spawn("/bin/sh", ["-c", GUARD, "sh", process.execPath, ...this.#arguments()], {
      cwd: root,
      env: this.#environment(),
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#process = child;
    const log = createWriteStream(this.#file("output.log"), { flags: "a" });
    child.stderr.pipe(log, { end: false });
    child.stdout.pipe(log, { end: false });
    this.url = await ready(child).catch((error) => {
      throw new Error(`${error.message}; it printed:\n${this.#tail()}`);
    });
    await until("GET /healthz to answer 200", async () => {
      const answer = await fetch(`${this.url}/healthz`).catch(() => undefined);
      await answer?.arrayBuffer();
      return answer?.status === 200;
    });
    this.startMs = Date.now() - started;
  }

  #arguments() {
    // Straight to the command line's code: the `wrangler` script only starts one more process with it.
    const wrangler = path.join(path.dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "wrangler-dist/cli.js");
    return [
      "--no-warnings",
      wrangler,
      "dev",
      `--config=${this.#options.config ?? TESTING_CONFIG}`,
      "--ip=127.0.0.1",
      "--port=0",
      "--inspector-port=0",
      `--persist-to=${this.#file("state")}`,
      // Replaces `.dev.vars`, which belongs to whoever works here.
      `--env-file=${this.#file("variables.env")}`,
      "--show-interactive-dev-session=false",
    ];
  }

  #environment() {
    const home = this.#file("home");
    return {
      PATH: process.env.PATH,
      HOME: home,
      XDG_CONFIG_HOME: home,
      CI: "1",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_HIDE_BANNER: "true",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      // As scripts/env.sh has it, and production: no traces, which hold URLs.
      X_LOCAL_OBSERVABILITY: "false",
      ...(this.#options.authority && { NODE_EXTRA_CA_CERTS: this.#file("authority.pem") }),
    };
  }

  #file(name) {
    return path.join(this.#directory, name);
  }

  #tail(lines = 60) {
    return this.output().split("\n").slice(-lines).join("\n");
  }

  #atExit = () => {
    if (this.#process) signalGroup(this.#process.pid, "SIGKILL");
    if (process.exitCode) {
      process.stderr.write(`The runtime's output is kept in ${this.#file("output.log")}. Its end:\n${this.#tail()}\n`);
    } else {
      rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
    }
  };
}

/**
 * Resolves with the runtime's address as soon as it prints it.
 *
 * @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<string>}
 */
async function ready(child) {
  let printed = "";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(reject, new Error(`the runtime was not ready within ${START_TIMEOUT_MS} ms`)), START_TIMEOUT_MS);
    const settle = (how, what) => {
      clearTimeout(timer);
      child.stdout.off("data", look);
      child.off("exit", ended);
      how(what);
    };
    const look = (chunk) => {
      printed += chunk;
      const address = /Ready on (http:\/\/127\.0\.0\.1:\d+)/.exec(printed)?.[1];
      if (address) settle(resolve, address);
    };
    const ended = () => settle(reject, new Error("the runtime ended before it was ready"));
    child.stdout.on("data", look);
    child.on("exit", ended);
  });
}

/** @param {number} group @param {NodeJS.Signals | 0} signal */
function signalGroup(group, signal) {
  try {
    process.kill(-group, signal);
    return true;
  } catch (error) {
    if (error.code === "ESRCH") return false;
    throw error;
  }
}

/**
 * Whether a process of the group still runs. A zombie does not: in a container nobody may come to collect it.
 *
 * @param {number} group
 */
export function groupIsAlive(group) {
  if (!signalGroup(group, 0)) return false;
  const { stdout } = spawnSync("ps", ["-A", "-o", "pgid=,stat="], { encoding: "utf8" });
  return stdout.split("\n").some((line) => {
    const [found, state] = line.trim().split(/\s+/);
    return Number(found) === group && !state.startsWith("Z");
  });
}
