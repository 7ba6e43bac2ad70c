/** The pages without a mouse: from signing in to a replay, and from a pasted request to its mistake, by keys alone. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { stage } from "../../tests/e2e/support/stage.mjs";
import { assertNoTrouble, openPage, skip, startBrowser } from "./support/browser.mjs";

/** More stops than any page has. */
const MOST_STOPS = 120;

const { runtime } = skip ? {} : await stage();
const browser = skip ? undefined : await startBrowser();

/** Presses tab until something with this name has the focus; it must be seen that it has. */
async function tabTo(page, name) {
  const met = [];
  for (let stop = 0; stop < MOST_STOPS; stop += 1) {
    await page.keyboard.press("Tab");
    const [found, seen] = await page.evaluate(() => {
      const element = document.activeElement;
      const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent ?? "";
      const style = getComputedStyle(element);
      return [label.trim(), style.outlineStyle !== "none" || style.boxShadow !== "none"];
    });
    met.push(found);
    if (!name.test(found)) continue;
    assert.ok(seen, `it shows that ${found} has the focus`);
    return;
  }
  assert.fail(`the tab key never came to ${name}; it met ${met.join(" | ")}`);
}

test("everything on the way to a replay can be done by keys", { skip }, async () => {
  const page = await openPage(browser, runtime.url);
  await tabTo(page, /^Token/);
  await page.keyboard.type(runtime.adminToken);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Workflows", level: 1 }).waitFor();

  await tabTo(page, /^Make a demo workflow$/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /^Delivery/ }).waitFor();
  await page.waitForFunction(() => document.activeElement?.tagName === "H1", undefined, {});
  await page.locator(".facts .badge.delivered").waitFor();

  await tabTo(page, /^Attempt 1: answered 503$/);
  await page.keyboard.press("Space");
  await page.getByRole("heading", { name: "Attempt 1: 503" }).waitFor();
  await tabTo(page, /^Response$/);
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.getByRole("tab", { name: "Request" }).getAttribute("aria-selected"), "true");
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.getByRole("tab", { name: "Response" }).getAttribute("aria-selected"), "true");
  await tabTo(page, /^Headers/);
  await page.keyboard.press("Enter");
  await page.getByText("content-type").first().waitFor();

  await page.keyboard.press("Control+Home");
  await tabTo(page, /^Replay$/);
  await page.keyboard.press("Enter");
  await page.getByText("Replay of", { exact: true }).waitFor();

  // The way to another page, and a question that escape answers with no.
  await tabTo(page, /^Secrets$/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Secrets" }).waitFor();
  await tabTo(page, /^Delete demo-/);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Keep it", "the harmless answer has the focus");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.match(await page.evaluate(() => document.activeElement?.getAttribute("aria-label")), /^Delete demo-/, "the focus is where it was");
  assertNoTrouble(page);
});

test("a signature can be checked by keys", { skip }, async () => {
  const page = await openPage(browser, `${runtime.url}/verify`);
  await tabTo(page, /^Too old$/);
  await page.keyboard.press("Enter");
  await page.getByText("The signature is right, but too old.").waitFor();
  await tabTo(page, /^Paste a request$/);
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.getByRole("tab", { name: "Fill in fields" }).getAttribute("aria-selected"), "true");
  await tabTo(page, /^Secret, or public key/);
  await page.keyboard.press("Control+a");
  await page.keyboard.type("another");
  await page.getByText("Most likely the secret is another one.").waitFor();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("5b1f8d7e-0c3a-4f7e-9a41-2d6c58e0b913");
  await page.getByText("The signature is right, but too old.").waitFor();
  await tabTo(page, /^The bytes that were signed$/);
  await tabTo(page, /^Copy these bytes$/);
  await tabTo(page, /^Node$/);
  await page.keyboard.press("ArrowRight");
  await tabTo(page, /^Copy the code$/);
  await tabTo(page, /^Python code$/);
  assertNoTrouble(page);
});
