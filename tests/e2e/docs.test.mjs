/**
 * The docs, taken at their word: their shell examples are run, their JSON is sent, their samples are the files
 * that other tests run, their links lead somewhere.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { Api } from "./support/api.mjs";
import { calls } from "./support/openapi.mjs";
import { stage } from "./support/stage.mjs";

const { runtime } = await stage();
const api = new Api(runtime);

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DOCS = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
const PAGES = ["README.md", ...DOCS.map((name) => `docs/${name}`)];

const read = (path) => readFileSync(join(ROOT, path), "utf8");

/** The fenced blocks of a page: what stands behind the fence, and what is in it. */
function blocksOf(page) {
  return [...read(page).matchAll(/^```([^\n]*)\n(.*?)^```$/gms)].map(([, info, text]) => ({ info: info.trim(), text }));
}

/** A call that fails ends the block, and says why. */
const CURL = `curl() {
  local answer
  if answer="$(command curl -sS --fail-with-body "$@")"; then printf '%s\\n' "$answer"; return; fi
  echo "FAILED: curl $*" >&2; echo "$answer" >&2; exit 1
}
set -euo pipefail
`;

const PRELUDE = /^(V|auth|json)=.*$/gm;

describe("the docs", () => {
  let run = 0;
  for (const page of PAGES) {
    const scripts = blocksOf(page).filter(({ info, text }) => info === "sh" && /\bcurl\b/.test(text));
    if (scripts.length === 0) continue;
    it(`${page}: its shell examples work`, () => {
      const folder = mkdtempSync(join(tmpdir(), "varde-docs-"));
      try {
        const input = CURL + scripts.map(({ text }) => text.replace(PRELUDE, "")).join("\n");
        const env = {
          ...process.env, V: runtime.url, auth: `Authorization: Bearer ${runtime.adminToken}`,
          json: "Content-Type: application/json", VARDE_ADMIN_TOKEN: runtime.adminToken,
        };
        const { status, stderr } = spawnSync("bash", ["-s"], { cwd: folder, env, input, encoding: "utf8" });
        assert.equal(status, 0, stderr);
        run += input.match(/^curl /gm).length;
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }

  it("have examples to run", () => assert.ok(run >= 30, String(run)));

  for (const page of PAGES) {
    const blocks = blocksOf(page).filter(({ info }) => info.startsWith("json"));
    if (blocks.length === 0) continue;
    it(`${page}: its JSON is taken`, async () => {
      for (const [at, { info, text }] of blocks.entries()) {
        const value = JSON.parse(text);
        const id = `docs-${page.replace(/\W+/g, "-").toLowerCase()}-${at}`;
        const kind = info.split(" ")[1];
        if (kind === "workflow" || kind === "action") {
          const workflow = kind === "workflow" ? value : { name: "Docs", object_type: "contact", actions: [value] };
          for (const { auth } of workflow.actions) {
            if (auth?.secret === undefined) continue;
            const source = auth.type === "standard_webhooks" ? { generate: "standard_webhooks" } : { value: "shh" };
            await api.done("PUT", `/v1/secrets/${auth.secret}`, source);
          }
          await api.expect(201, "PUT", `/v1/workflows/${id}`, workflow);
        } else if (kind === "enrollment") {
          await api.workflow(id, { name: "Docs", object_type: "contact", actions: [{ id: "a", type: "webhook", method: "GET", url: "https://docs.example/" }] });
          await api.expect(202, "POST", `/v1/workflows/${id}/enrollments`, value);
        } else if (kind === "trigger") {
          await putTrigger(id, value);
        } else {
          assert.fail(`${page}: a JSON block that is nothing: ${info}`);
        }
      }
    });
  }

  async function putTrigger(id, value) {
    await api.workflow(id, { name: "Docs", object_type: "contact", actions: [{ id: "a", type: "webhook", method: "GET", url: "https://docs.example/" }] });
    if (value.verify?.secret) await api.secret(value.verify.secret, "shh");
    const { name, verify } = value;
    const made = await api.call("POST", `/v1/workflows/${id}/triggers`, { json: { name, verify } });
    assert.equal(made.status, 201, made.text);
    await api.expect(200, "PUT", `/v1/workflows/${id}/triggers/${made.body.id}`, value);
  }

  it("show the samples as they are", () => {
    const shown = new Set();
    for (const page of PAGES) {
      for (const [, file, text] of read(page).matchAll(/<!-- sample (\S+) -->\n```\w+\n(.*?)^```$/gms)) {
        assert.equal(text, read(`samples/${file}`), `${page} shows another ${file}`);
        shown.add(file);
      }
    }
    const all = readdirSync(join(ROOT, "samples"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(ROOT, "samples").length + 1));
    assert.deepEqual([...shown].sort(), all.sort());
    assert.equal(all.length, 30);
  });

  it("have links that lead somewhere", () => {
    const slug = (heading) => heading.toLowerCase().replace(/[^\w\s-]/g, "").trim().replace(/\s/g, "-");
    for (const page of PAGES) {
      for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [file, anchor] = target.split("#");
        const path = file === "" ? page : join(dirname(page), file);
        assert.ok(existsSync(join(ROOT, path)), `${page}: ${target}`);
        if (anchor === undefined) continue;
        const headings = [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading));
        assert.ok(headings.includes(anchor), `${page}: ${target}`);
      }
    }
  });

  it("name only paths that are described", () => {
    for (const page of PAGES) {
      for (const [, path] of read(page).matchAll(/\$V(\/v1\/[^\s"'?]*)/g)) {
        assert.ok(calls.some(({ pattern }) => pattern.test(path)), `${page}: ${path}`);
      }
    }
  });
});
