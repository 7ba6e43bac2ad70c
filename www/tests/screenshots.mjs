// Pictures of the pages for the docs, into docs/img: `node www/tests/screenshots.mjs`. Not a test.
import { mkdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { stage } from "../../tests/e2e/support/stage.mjs";
import { openPage, signIn, startBrowser, visit } from "./support/browser.mjs";
import { furnish } from "./support/furnish.mjs";

const folder = fileURLToPath(new URL("../../docs/img/", import.meta.url));
const size = { width: 1180, height: 760 };

test("pictures of the pages", async () => {
  const { runtime, api } = await stage();
  const browser = await startBrowser();
  const pages = await furnish(api, runtime.url);
  mkdirSync(folder, { recursive: true });

  const light = await openPage(browser, runtime.url, { viewport: size });
  await light.screenshot({ path: `${folder}sign-in.png` });
  await signIn(light, runtime.adminToken);
  // The demo's bin is one whose secret this tab knows, so that its page shows a checked signature.
  await light.getByRole("button", { name: "Make a demo workflow" }).click();
  await light.locator(".facts .badge.delivered").waitFor();
  await light.getByRole("link", { name: "see what arrived and check its signature" }).click();
  await light.getByText("signature valid").waitFor();
  await light.screenshot({ path: `${folder}request-bin.png` });
  for (const { name, hash, ready } of pages.filter(({ name }) => !["nothing", "a request bin"].includes(name))) {
    await visit(light, hash);
    await light.getByText(ready).first().waitFor();
    await light.waitForFunction(() => document.querySelector('[aria-busy="true"]') === null);
    await light.evaluate(() => document.activeElement?.blur());
    await light.screenshot({ path: `${folder}${name.replace(/^(a|an|the) /, "").replace(/[^a-z]+/g, "-")}.png` });
  }
  await light.goto(`${runtime.url}/verify`);
  await light.getByRole("button", { name: "http behind a proxy" }).click();
  await light.locator(".finding").first().waitFor();
  await light.evaluate(() => document.activeElement?.blur());
  await light.screenshot({ path: `${folder}verifier.png` });
  const dark = await openPage(browser, runtime.url, { viewport: size, colorScheme: "dark" });
  await signIn(dark, runtime.adminToken);
  const editor = pages.find(({ name }) => name === "a workflow's actions");
  await visit(dark, editor.hash);
  await dark.getByText(editor.ready).first().waitFor();
  await dark.screenshot({ path: `${folder}workflow-s-actions-dark.png` });
});
