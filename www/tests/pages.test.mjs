/** Every page, in light and dark, on a phone and on a desk: accessible, fitting, and true to its policy. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { stage } from "../../tests/e2e/support/stage.mjs";
import { assertNoTrouble, findings, openPage, signIn, skip, startBrowser, visit } from "./support/browser.mjs";
import { furnish } from "./support/furnish.mjs";

/** Script of the first page, gzipped, wasm apart. */
const MOST_SCRIPT_BYTES = 150 * 1024;
const PHONE = { width: 375, height: 780 };
const DESK = { width: 1280, height: 860 };

const { runtime, api } = await stage();
const browser = skip ? undefined : await startBrowser();
const pages = await furnish(api, runtime.url);

for (const colorScheme of ["light", "dark"]) {
  for (const viewport of [PHONE, DESK]) {
    test(`every page is accessible and fits: ${colorScheme}, ${viewport.width} px`, { skip }, async () => {
      const page = await openPage(browser, runtime.url, { colorScheme, viewport, reducedMotion: "reduce" });
      const found = await findings(page, "the sign-in");
      await signIn(page, runtime.adminToken);
      for (const { name, hash, ready } of pages) {
        await visit(page, hash);
        await page.getByText(ready).first().waitFor();
        await page.evaluate(() => document.querySelectorAll("main details").forEach((details) => (details.open = true)));
        found.push(...(await findings(page, name)));
      }
      await page.goto(`${runtime.url}/verify`);
      await page.getByText("Nothing to check yet").waitFor();
      found.push(...(await findings(page, "the empty verifier")));
      for (const [example, kind] of [["HubSpot v3", "delivered"], ["Two mistakes at once", "rejected"], ["Wrong secret", "rejected"]]) {
        await page.getByRole("button", { name: example, exact: true }).click();
        await page.locator(`.verdict.${kind}`).waitFor();
        await page.evaluate(() => document.querySelectorAll("main details").forEach((details) => (details.open = true)));
        await page.getByRole("button", { name: "Add a secret" }).click();
        await page.getByRole("tab", { name: "Fill in fields" }).click();
        found.push(...(await findings(page, `the verifier with ${example}`)));
      }
      await page.getByRole("tab", { name: "Paste a request" }).click();
      await page.getByLabel("The request", { exact: true }).fill("curl -d 'abc");
      await page.getByText("This can't be read").waitFor();
      found.push(...(await findings(page, "the verifier with a wrong paste")));
      assert.equal(found.join("\n"), "");
      assertNoTrouble(page);
    });
  }
}

test("pages come with a strict policy, and what has a hash in its name is kept for good", async () => {
  const page = await fetch(runtime.url);
  const policy = page.headers.get("content-security-policy");
  for (const part of ["default-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]) {
    assert.ok(policy.split("; ").includes(part), `${part} is in ${policy}`);
  }
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  assert.match(page.headers.get("cache-control"), /max-age=0, must-revalidate/);
  const html = await page.text();
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path);
  assert.ok(assets.length >= 2, html);
  for (const path of assets) {
    assert.match(path, /-[\w-]{8}\.(js|css)$/);
    const asset = await fetch(runtime.url + path);
    assert.equal(asset.headers.get("cache-control"), "public, max-age=31536000, immutable");
    assert.equal(asset.headers.get("x-content-type-options"), "nosniff");
  }
});

test("paths that are no page's are the API's to answer", async () => {
  await api.refused(404, "GET", "/v1/nothing");
  await api.refused(404, "GET", "/nothing");
  await api.refused(401, "GET", "/v1/workflows", undefined, { token: null });
});

for (const name of ["index.html", "verify.html"]) test(`${name} has at most 150 KB of script`, () => {
  const dist = fileURLToPath(new URL("../dist/", import.meta.url));
  const html = readFileSync(dist + name, "utf8");
  const scripts = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map(([, path]) => path);
  assert.ok(scripts.length > 0, html);
  const bytes = scripts.reduce((sum, path) => sum + gzipSync(readFileSync(dist + path)).length, 0);
  assert.ok(bytes <= MOST_SCRIPT_BYTES, `${scripts.join(", ")} have ${bytes} bytes gzipped, more than ${MOST_SCRIPT_BYTES}`);
});
