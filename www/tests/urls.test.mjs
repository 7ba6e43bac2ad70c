/** URLs in a page: the core asks the browser's own parser, and previews exactly what the Worker would call. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { stage } from "../../tests/e2e/support/stage.mjs";
import { isTemplate, urls } from "../../tests/e2e/support/urls.mjs";
import { assertNoTrouble, openPage, skip, startBrowser } from "./support/browser.mjs";

const { api, runtime } = skip ? {} : await stage();
const browser = skip ? undefined : await startBrowser();

test("a preview shows the URL that the Worker would call, or none where it would call none", { skip }, async (t) => {
  const texts = [...new Set(urls())].filter((text) => !isTemplate(text));
  const rows = await api.expect(200, "POST", "/__testing/urls", texts);
  const page = await openPage(browser, runtime.url);
  await page.route("**/pkg/*", async (route) => {
    const name = new URL(route.request().url()).pathname.split("/").at(-1);
    const contentType = name.endsWith(".wasm") ? "application/wasm" : "text/javascript";
    await route.fulfill({ contentType, body: await readFile(new URL(`../pkg/${name}`, import.meta.url)) });
  });
  const previewed = await page.evaluate(
    async (texts) => {
      const core = await import("/pkg/varde_web.js");
      await core.default();
      // As `sentByPage` in `tests/e2e/support/core.mjs`, for a browser.
      return texts.map((url) => {
        const action = { id: "tell", type: "webhook", method: "GET", url };
        try {
          return core.preview({ action, object_type: "contact", record: { id: "1", properties: {} }, now: 0, allow_loopback: true }).request.url;
        } catch {
          return null;
        }
      });
    },
    texts,
  );
  // Chromium has no host with a star beside an international letter; no DNS has one, either.
  const strange = ({ text, page }) => page === null && /^https:\/\/[^/?#]*\*/.test(text) && /^https:\/\/[^/?#]*[^\0-\x7f]/.test(text);
  const otherwise = rows
    .map(({ text, ours }, at) => ({ text, ours, page: previewed[at] }))
    .filter((row) => row.ours !== row.page && !strange(row));
  t.diagnostic(`${rows.length} URLs, ${previewed.filter((url) => url !== null).length} previewed`);
  assert.deepEqual(otherwise, []);
  assertNoTrouble(page);
});
