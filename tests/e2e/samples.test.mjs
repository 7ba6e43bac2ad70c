/** The samples that verify signatures: each is run, in its own language, against the published vectors. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const vectors = (name) => JSON.parse(readFileSync(join(ROOT, "tests/vectors", `${name}.json`), "utf8")).vectors;

/** A request that must be taken, and the same with one thing wrong, which must not. */
function* casesOf(scheme, good) {
  yield { ...good, scheme, taken: true };
  const wrong = {
    body: `${good.body} `,
    secret: flipped(good.secret),
    signature: flipped(good.signature),
    ...(scheme !== "hubspot_v1" && scheme.startsWith("hubspot") && { url: `${good.url}/`, method: "PUT" }),
    ...(good.id && { id: `${good.id}x` }),
    ...(good.timestamp && { timestamp: String(Number(good.timestamp) + 1), now: good.now + 301_000 }),
  };
  for (const [field, value] of Object.entries(wrong)) yield { ...good, scheme, [field]: value, taken: false };
  yield { ...good, scheme, signature: "", taken: false };
  if (good.timestamp) yield { ...good, scheme, timestamp: "soon", taken: false };
}

/** The same text with another character in its middle, so that what encodes something still does. */
function flipped(text) {
  const at = Math.floor(text.length / 2);
  return text.slice(0, at) + (text[at] === "b" ? "c" : "b") + text.slice(at + 1);
}

const cases = [
  ...vectors("hubspot").flatMap((vector) => {
    const { version, secret, method, uri, body, timestamp, expected_signature: signature } = vector;
    return [...casesOf(`hubspot_${version}`, {
      secret, body, signature, method: method ?? "", url: uri ?? "",
      ...(version === "v3" && { timestamp, now: Number(timestamp) + 300_000 }),
    })];
  }),
  ...vectors("standard_webhooks").flatMap((vector) => [...standard("standard_webhooks", vector, vector.secret)]),
  ...vectors("standard_webhooks_ed25519").flatMap((vector) => [...standard("standard_webhooks_ed25519", vector, vector.public_key)]),
];

function* standard(scheme, { webhook_id: id, timestamp, body, expected_signature: signature }, secret) {
  const good = { secret, id, timestamp, body, signature, now: Number(timestamp) * 1_000 + 300_000 };
  yield* casesOf(scheme, good);
  // As during a rotation.
  yield { ...good, scheme, signature: `v1,AAAA ${signature} v1a,AAAA`, taken: true };
}

/** A program that can be had, or nothing. */
function version(command, ...args) {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

const runner = (name) => join(ROOT, "tests/samples", name);

const LANGUAGES = {
  Node: { has: () => true, run: (input) => spawnSync(process.execPath, [runner("run.mjs")], { input, encoding: "utf8" }) },
  Python: { has: () => version("python3", "--version"), run: (input) => spawnSync("python3", [runner("run.py")], { input, encoding: "utf8" }) },
  PHP: { has: () => version("php", "--version"), run: (input) => spawnSync("php", [runner("run.php")], { input, encoding: "utf8" }) },
  Ruby: { has: () => version("ruby", "--version"), run: (input) => spawnSync("ruby", [runner("run.rb")], { input, encoding: "utf8" }) },
  Go: { has: () => version("go", "version"), run: runGo },
};

/** Go wants all files of a package in one folder, and folders in a module. */
function runGo(input) {
  const folder = mkdtempSync(join(tmpdir(), "varde-samples-"));
  try {
    mkdirSync(join(folder, "webhooks"));
    cpSync(join(ROOT, "samples/go"), join(folder, "webhooks"), { recursive: true });
    cpSync(runner("run.go"), join(folder, "main.go"));
    writeFileSync(join(folder, "go.mod"), "module samples\n\ngo 1.19\n");
    const env = { ...process.env, GOTOOLCHAIN: "local", GOFLAGS: "-mod=mod", GOPROXY: "off" };
    return spawnSync("go", ["run", "."], { cwd: folder, env, input, encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the samples", { concurrency: true }, () => {
  it("are tried with enough", () => {
    for (const scheme of ["hubspot_v1", "hubspot_v2", "hubspot_v3", "standard_webhooks", "standard_webhooks_ed25519"]) {
      for (const taken of [true, false]) {
        assert.ok(cases.some((one) => one.scheme === scheme && one.taken === taken), `${scheme} ${taken}`);
      }
    }
    assert.ok(cases.length > 80, String(cases.length));
  });

  // Rust's are compiled and run by `cargo test`: crates/varde-core/tests/samples.rs.
  for (const [language, { has, run }] of Object.entries(LANGUAGES)) {
    it(`in ${language} take what is right, and nothing else`, { skip: !has() && `${language} is not installed` }, (test) => {
      const { status, stdout, stderr } = run(JSON.stringify(cases));
      assert.equal(status, 0, stderr);
      const answers = JSON.parse(stdout);
      assert.equal(answers.length, cases.length);
      const skipped = new Set();
      for (const [at, one] of cases.entries()) {
        if (answers[at] === null) skipped.add(one.scheme);
        else assert.equal(answers[at], one.taken, JSON.stringify(one));
      }
      for (const scheme of skipped) test.diagnostic(`${language} lacks a library for ${scheme}; not tried`);
      assert.ok(!skipped.has("hubspot_v3") && !skipped.has("standard_webhooks"));
    });
  }
});
