/** What else a person does in the dashboard: other systems, many deliveries at once, keys and pauses. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { oneAction, stage } from "../../tests/e2e/support/stage.mjs";
import { assertNoTrouble, openPage, signIn, skip, startBrowser, visit } from "./support/browser.mjs";

const { runtime, receiver, api } = skip ? {} : await stage();
const browser = skip ? undefined : await startBrowser();

async function signedIn(hash) {
  const page = await openPage(browser, runtime.url);
  await signIn(page, runtime.adminToken);
  await visit(page, hash);
  return page;
}

test("another system is connected, its fields mapped, and its calls enroll records", { skip }, async () => {
  const endpoint = receiver.endpoint("/from-outside");
  await api.workflow("outside", oneAction(endpoint.url, { body: { kind: "properties", fields: [{ name: "total", value: { property: "total" } }] } }));
  const page = await signedIn("#/workflows/outside/triggers");
  await page.getByLabel("Name", { exact: true }).fill("Shop orders");
  await page.getByRole("button", { name: "Make the URL" }).click();
  await page.getByRole("heading", { name: "Shop orders" }).waitFor();
  const url = await page.locator("main p code").first().textContent();
  const call = () => fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: '{"customer":{"mail":"ada@example.com"},"total":12.5}' });
  assert.equal((await call()).status, 202);

  // What has come is shown, and offered.
  const add = page.getByLabel("Add a field that was seen");
  await add.waitFor();
  await add.selectOption("/customer/mail");
  await add.selectOption("/total");
  assert.equal(await page.getByLabel("Type of field 2").inputValue(), "number");
  await page.getByLabel("Property of field 1").fill("email");
  await page.getByLabel("The property that says which record it is").selectOption("email");
  await page.getByRole("button", { name: "Publish" }).click();
  await page.getByText("Published: each call enrolls a record.").waitFor();

  assert.equal((await call()).status, 202);
  assert.equal((await endpoint.waitFor(1))[0].text, '{"total":12.5}');
  await visit(page, "#/workflows/outside/edit");
  assert.ok(await page.getByLabel("Value of property 1").locator('option[value="event:email"]').count(), "what the trigger brings can be picked");
  assertNoTrouble(page);
});

test("a workflow of HubSpot's is imported, looked over and saved", { skip }, async () => {
  const flow = readFileSync(new URL("../../tests/fixtures/hubspot/ship-closed-deals.json", import.meta.url), "utf8");
  const page = await signedIn("#/import");
  await page.getByLabel("The workflow's JSON").fill(flow);
  await page.getByRole("button", { name: "Read it" }).click();
  await page.getByRole("heading", { name: "Not carried over" }).waitFor();
  for (const value of await page.getByLabel(/^Value of /).filter({ visible: true }).all()) {
    if ((await value.getAttribute("type")) === "password") await value.fill("a-secret-text");
  }
  for (;;) {
    const store = page.getByRole("button", { name: /^Store / }).first();
    if ((await store.count()) === 0) break;
    const name = await store.getAttribute("aria-label");
    await store.click();
    await page.getByRole("button", { name, exact: true }).waitFor({ state: "detached" });
  }
  await page.getByRole("button", { name: "Save the workflow" }).click();
  await page.getByRole("link", { name: "Ship closed deals" }).click();
  await page.getByRole("heading", { name: "Ship closed deals" }).waitFor();
  const { items } = await api.get("/v1/workflows");
  const made = items.find(({ name }) => name === "Ship closed deals");
  assert.deepEqual(made.actions.map(({ method }) => method), ["POST", "GET"]);
  assertNoTrouble(page);
});

test("what was refused is counted, and sent again all at once", { skip }, async () => {
  const endpoint = receiver.endpoint("/was-down", 404, 404, 404, 200);
  await api.workflow("was-down", oneAction(endpoint.url));
  for (const id of ["1", "2", "3"]) await api.ended("was-down", (await api.enroll("was-down", { id, properties: {} })).id);
  const page = await signedIn("#/workflows/was-down/replays");
  await page.getByLabel("Deliveries that ended as").selectOption("rejected");
  await page.getByRole("button", { name: "Count them first" }).click();
  await page.getByRole("button", { name: "Replay 3 deliveries" }).click();
  const row = page.getByRole("row").filter({ hasText: "rejected" });
  await row.getByText("done").waitFor();
  assert.equal(await row.getByRole("progressbar").getAttribute("value"), "3");
  await endpoint.waitFor(6);
  await page.waitForFunction(() => [...document.querySelectorAll("tbody td.number")].map((cell) => cell.textContent).join() === "3,3,3");
  assertNoTrouble(page);
});

test("a paused workflow holds its webhooks, a canceled one is never sent, and filters find both", { skip }, async () => {
  const endpoint = receiver.endpoint("/paused");
  await api.workflow("paused", oneAction(endpoint.url));
  const page = await signedIn("#/workflows/paused");
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await page.getByRole("button", { name: "Resume", exact: true }).waitFor();
  await api.enroll("paused", { id: "kept", properties: {} });
  await api.enroll("paused", { id: "dropped", properties: {} });
  await page.getByText("Filter", { exact: true }).click();
  await page.getByLabel("Status").selectOption("held");
  const dropped = page.getByRole("row").filter({ hasText: "dropped" });
  await dropped.getByRole("link").click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await page.locator(".facts .badge.canceled").waitFor();
  await visit(page, "#/workflows/paused");
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await page.getByText("Filter", { exact: true }).click();
  await page.getByLabel("Status").selectOption("delivered");
  await page.getByRole("row").filter({ hasText: "dropped" }).waitFor({ state: "detached" });
  await page.getByRole("row").filter({ hasText: "kept" }).waitFor();
  assert.equal(await page.locator("table.deliveries tbody tr").count(), 1);
  await page.getByLabel("Record").fill("dropped");
  await page.getByLabel("Record").press("Enter");
  await page.getByText("Nothing matches.").waitFor();
  assert.equal(endpoint.requests.length, 1);
  assertNoTrouble(page);
});

test("long lists come in pages", { skip }, async () => {
  const endpoint = receiver.endpoint("/many");
  await api.workflow("many", oneAction(endpoint.url));
  await api.enrollBatch("many", Array.from({ length: 60 }, (_, at) => ({ record: { id: `r${at}`, properties: {} } })));
  await api.drained("many");
  const page = await signedIn("#/workflows/many");
  await page.locator("table.deliveries tbody tr").nth(49).waitFor();
  await page.getByRole("button", { name: "Older ones" }).click();
  await page.locator("table.deliveries tbody tr").nth(59).waitFor();
  const records = await page.locator("table.deliveries tbody tr td:nth-child(2)").allTextContents();
  assert.equal(new Set(records).size, 60);
  assertNoTrouble(page);
});

test("secrets and tokens are shown once, rotated and deleted", { skip }, async () => {
  const page = await signedIn("#/secrets");
  await page.getByLabel("Name", { exact: true }).fill("app");
  await page.getByRole("button", { name: "Save the secret" }).click();
  const value = await page.locator(".shown code").textContent();
  assert.match(value, /^whsec_/);
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Rotate app" }).click();
  await page.getByLabel("Keep the old one for, in hours").fill("1");
  await page.getByRole("button", { name: "Rotate", exact: true }).click();
  await page.getByText("The value of app.").waitFor();
  assert.notEqual(await page.locator(".shown code").textContent(), value);
  assert.ok((await api.get("/v1/secrets")).items.find(({ name }) => name === "app").previous_until > Date.now());
  await page.getByRole("button", { name: "Delete app" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("The secret app is deleted.").waitFor();

  await visit(page, "#/tokens");
  await page.getByLabel("Name", { exact: true }).fill("Reader");
  await page.getByLabel("enroll:").uncheck();
  await page.getByRole("button", { name: "Make the token" }).click();
  await page.getByRole("alert").getByText("expected 1 to 3 different scopes").waitFor();
  await page.getByLabel("read:").check();
  await page.getByRole("button", { name: "Make the token" }).click();
  const token = await page.locator(".shown code").textContent();
  await api.as(token).get("/v1/workflows");
  await page.getByRole("button", { name: "Delete Reader" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("The token is deleted.").waitFor();
  assertNoTrouble(page);
});

test("a bin shows what arrives while somebody looks, and answers as it is told", { skip }, async () => {
  const page = await signedIn("#/inspector");
  await page.getByLabel("Name", { exact: true }).fill("My bin");
  await page.getByRole("button", { name: "Make a bin" }).click();
  await page.getByRole("heading", { name: "My bin" }).waitFor();
  const url = await page.locator("main p code").first().textContent();
  await page.getByText("How it answers").click();
  await page.getByLabel("Status").fill("418");
  await page.getByRole("textbox", { name: "Body" }).fill('{"short": true}');
  await page.getByRole("button", { name: "Answer like that" }).click();
  await page.getByText("The bin answers like that from now on.").waitFor();
  const answer = await fetch(`${url}/tea`, { method: "PUT", body: "hello from afar" });
  assert.deepEqual([answer.status, await answer.json()], [418, { short: true }]);
  await page.getByText("hello from afar").waitFor();
  assertNoTrouble(page);
});
