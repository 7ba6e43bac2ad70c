/**
 * A person at a browser: Debian's Chromium, one for a test file, and pages that tell what went wrong in them.
 */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after } from "node:test";

import { chromium } from "playwright-core";

/** Where browsers are: told, or Debian's. */
const EXECUTABLE = process.env.VARDE_CHROMIUM ?? "/usr/bin/chromium";
/** How long a page may take to show something. The machine may be busy. */
const PATIENCE_MS = Number(process.env.VARDE_PATIENCE_MS ?? 60_000);

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Why the tests of the pages can't run here; `false` where they can. */
export const skip = existsSync(EXECUTABLE) ? false : `no browser at ${EXECUTABLE}: install Debian's chromium, or set VARDE_CHROMIUM`;

/**
 * Starts a browser, and ends it after the file's last test.
 *
 * @returns {Promise<import("playwright-core").Browser>}
 */
export async function startBrowser() {
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox"] });
  after(() => browser.close());
  return browser;
}

/**
 * Opens a page that fails its test when it breaks its own policy, throws, or asks another origin for something.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions} [options]
 * @returns {Promise<import("playwright-core").Page & { troubles: string[] }>}
 */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(`threw: ${error.stack ?? error}`));
  page.on("console", (message) => {
    // An API call that is refused is no trouble of the page.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) troubles.push(`said: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${new URL(url).origin}/`) && !request.url().startsWith("data:")) troubles.push(`asked for ${request.url()}`);
  });
  await page.exposeFunction("__violated", (what) => troubles.push(`violated its policy: ${what}`));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => window.__violated(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  await page.goto(url);
  return Object.assign(page, { troubles });
}

/** @param {{ troubles: string[] }} page */
export function assertNoTrouble(page) {
  assert.deepEqual(page.troubles, []);
}

/**
 * Signs in at the dashboard.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} token
 */
export async function signIn(page, token) {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Workflows", level: 1 }).waitFor();
}

/**
 * Goes to a page of the dashboard and waits for what it loads.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} hash such as `#/secrets`
 */
export async function visit(page, hash) {
  await page.evaluate((to) => (location.hash = to), hash);
  await page.locator("main h1").first().waitFor();
  await page.waitForFunction(() => document.querySelector('main [aria-busy="true"]') === null);
}

/**
 * The accessibility findings that are serious or worse, by axe-core, and whether something is wider than the window.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} what said in each finding
 * @returns {Promise<string[]>}
 */
export async function findings(page, what) {
  // By the debugger's own way in: the page's policy lets no script be added.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, help, nodes }) => `${what}: ${id}: ${help}\n${nodes.map(({ html, failureSummary }) => `  ${html}\n  ${failureSummary}`).join("\n")}`);
  const [inner, scroll] = await page.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollWidth]);
  return scroll <= inner ? told : [...told, `${what} is ${scroll} px wide in a window of ${inner}`];
}
