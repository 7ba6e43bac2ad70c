// `npm run dev`: sets up and builds what is missing, runs the Worker locally, shows the demo, stays up.
//
// Runs on the machine's own Node, which may be too old for wrangler, and before any package is
// installed: so it imports nothing but Node's own modules.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { followDemo, runDemo } from "./demo.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const HOST = "127.0.0.1";
const DEFAULT_PORT = 8787;
const STATE = join(ROOT, ".varde", "state");
/** How long the runtime may take to answer after the build; it takes seconds. */
const READY_MS = 60_000;
/** How long wrangler gets to end by itself before it is killed. */
const GOODBYE_MS = 5_000;

const USAGE = `npm run dev -- [--port N] [--no-demo]

  --port N    listen on 127.0.0.1:N (${DEFAULT_PORT})
  --no-demo   start the server only`;

async function main() {
  const options = parseArguments(process.argv.slice(2));
  await refuseTakenPort(options.port);
  handleSignals();

  await run("bash", [join(ROOT, "scripts", "build")]);
  const variables = ensureDevVars(join(ROOT, ".dev.vars"));

  const origin = `http://${HOST}:${options.port}`;
  const server = startServer(options.port);
  await untilReady(origin, server);
  say(`Dashboard    ${origin}/`);
  say(`  its token  ${variables.VARDE_ADMIN_TOKEN}  (VARDE_ADMIN_TOKEN in .dev.vars)`);
  say(`API          ${origin}/v1  (the same token)`);

  if (options.demo) {
    const demo = { origin, token: variables.VARDE_ADMIN_TOKEN, folder: join(ROOT, ".varde"), print };
    try {
      const seen = await runDemo(demo);
      // Not awaited: the server's end ends it.
      void followDemo(demo, seen);
    } catch (error) {
      say(`the demo failed, the server stays up: ${error.message}`);
    }
  }
  say("Ctrl-C stops it.");
}

function parseArguments(words) {
  const options = { port: DEFAULT_PORT, demo: true };
  for (let i = 0; i < words.length; i += 1) {
    const [name, value = words[i + 1]] = words[i].split("=", 2);
    if (name === "--no-demo") {
      options.demo = false;
    } else if (name === "--port" && /^\d+$/.test(value ?? "") && Number(value) >= 1 && Number(value) <= 65535) {
      options.port = Number(value);
      if (!words[i].includes("=")) i += 1;
    } else {
      console.error(name === "--help" ? USAGE : `unknown or incomplete option: ${words[i]}\n\n${USAGE}`);
      process.exit(name === "--help" ? 0 : 2);
    }
  }
  return options;
}

function refuseTakenPort(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", (error) => {
      console.error(`port ${port} can't be used (${error.code}); try: npm run dev -- --port ${port + 1}`);
      process.exit(1);
    });
    probe.listen(port, HOST, () => probe.close(resolve));
  });
}

/** Makes `.dev.vars`, or adds the names that an existing one lacks; gives its values. */
function ensureDevVars(path) {
  const fresh = {
    VARDE_ADMIN_TOKEN: () => randomBytes(32).toString("hex"),
    VARDE_MASTER_KEY: () => randomBytes(32).toString("base64"),
    VARDE_DEV_ALLOW_LOOPBACK: () => "true",
  };
  let text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const values = parseDevVars(text);
  for (const [name, make] of Object.entries(fresh)) {
    if (values[name] !== undefined) continue;
    values[name] = make();
    if (text !== "" && !text.endsWith("\n")) text += "\n";
    text += `${name}="${values[name]}"\n`;
    say(`.dev.vars: ${name} was missing, made a ${name.startsWith("VARDE_DEV") ? "default" : "random"} one`);
  }
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
  return values;
}

function parseDevVars(text) {
  const values = {};
  for (const line of text.split("\n")) {
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line);
    if (match) values[match[1]] = match[2].replace(/^(["'`])(.*)\1$/, "$2");
  }
  return values;
}

function startServer(port) {
  mkdirSync(STATE, { recursive: true });
  // The state is found by its folder alone, so it is the same on any port.
  const words = ["dev", "--ip", HOST, "--port", String(port), "--persist-to", STATE];
  const server = spawn("bash", [join(ROOT, "scripts", "wrangler"), ...words, "--show-interactive-dev-session=false"], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [server.stdout, server.stderr]) {
    createInterface({ input: stream }).on("line", (line) => isOurOwnNoise(line) || console.log(line));
  }
  server.on("exit", (code, name) => {
    if (stopping) return;
    say(`the runtime has ended (${name ?? `exit code ${code}`})`);
    void stop(code ?? 1);
  });
  return server;
}

/** Whether a line of wrangler's only says that the demo or a page looked at something, or repeats the configuration. */
function isOurOwnNoise(line) {
  return (
    /^\[wrangler:info\] GET \/(healthz|v1\/\S*|assets\/\S*|icon\.svg|verify)? (200|304) /.test(line) ||
    /^(env\.\S+ \(|Binding +Resource|Your Worker has access|Service bindings, Durable Object bindings)/.test(line) ||
    /Scheduled Workers are not automatically triggered|To manually trigger a scheduled event|cdn-cgi\/local\/scheduled/.test(line) ||
    /configuration\/cron-triggers|^\[custom build\]\s*(Running: .*)?$/.test(line) ||
    line.trim() === ""
  );
}

async function untilReady(origin, server) {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline && server.exitCode === null) {
    const answer = await fetch(`${origin}/healthz`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
    if (answer?.ok) return;
    await sleep(100);
  }
  say(`the Worker did not answer at ${origin}/healthz within ${READY_MS / 1000} s`);
  await stop(1);
}

function run(command, words) {
  return new Promise((resolve) => {
    const child = spawn(command, words, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
    child.on("exit", (code) => (code === 0 ? resolve() : process.exit(code ?? 1)));
  });
}

let stopping = false;

/** Ends every process that came from this one, whoever sent the signal and whether or not they got it too. */
async function stop(code = 0) {
  if (stopping) return;
  stopping = true;
  const children = descendants(process.pid);
  signal(children, "SIGTERM");
  const deadline = Date.now() + GOODBYE_MS;
  while (Date.now() < deadline && running(children).length > 0) await sleep(100);
  signal(running(children), "SIGKILL");
  process.exit(code);
}

function handleSignals() {
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => void stop());
  // npm that was killed outright passes no signal on.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event) {
    setInterval(() => process.ppid === parent || void stop(), 1_000).unref();
  }
}

/** Rows of [pid, parent]; what has ended but wasn't waited for is left out. */
function processes() {
  return execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , state]) => !state.startsWith("Z"))
    .map(([pid, parent]) => [Number(pid), Number(parent)]);
}

function descendants(root) {
  const rows = processes();
  const found = [];
  const visit = (parent) => {
    for (const [pid, itsParent] of rows) {
      if (itsParent !== parent) continue;
      found.push(pid);
      visit(pid);
    }
  };
  visit(root);
  return found;
}

function running(pids) {
  const alive = new Set(processes().map(([pid]) => pid));
  return pids.filter((pid) => alive.has(pid));
}

function signal(pids, name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended in the meantime.
    }
  }
}

function say(text) {
  console.log(`varde: ${text}`);
}

function print(text) {
  console.log(text);
}

await main();
