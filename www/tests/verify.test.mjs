/**
 * The verifier: says valid or not and why, asks nobody while it does, and keeps the secret to itself.
 * The same vectors as the core's and the Worker's.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { stage } from "../../tests/e2e/support/stage.mjs";
import { vectors } from "../../tests/vectors/vectors.mjs";
import { assertNoTrouble, openPage, skip, startBrowser } from "./support/browser.mjs";

const { runtime } = skip ? {} : await stage();
const browser = skip ? undefined : await startBrowser();

/** Opens the page and waits until it has everything; what it asks for afterwards is listed. */
async function openVerifier(options) {
  const page = await openPage(browser, `${runtime.url}/verify`, options);
  await page.waitForLoadState("networkidle");
  const requests = [];
  page.on("request", (request) => requests.push(`${request.method()} ${request.url()}`));
  page.on("websocket", (socket) => requests.push(`socket ${socket.url()}`));
  return Object.assign(page, { requests });
}

const secretField = (page) => page.getByLabel("Secret, or public key (whpk_…)");

/** Pastes a request, and gives the verdict on it. */
async function check(page, text, secret) {
  await secretField(page).fill(secret);
  await page.getByLabel("The request", { exact: true }).fill(text);
  await page.locator(".reading").waitFor();
}

/** The vectors as raw requests. */
function requests() {
  const raw = (method, url, headers, body) => {
    const { host, pathname, search } = new URL(url);
    assert.ok(url.endsWith(pathname + search) || pathname === "/", url);
    return [`${method} ${url} HTTP/1.1`, `Host: ${host}`, ...headers, "", body].join("\n");
  };
  const hubspot = vectors("hubspot").vectors.map(({ id, version, method, uri, body, timestamp, secret, expected_signature: signature }) => ({
    id,
    secret,
    scheme: `HubSpot ${version}`,
    text: raw(method ?? "POST", uri ?? "https://a.example/", version === "v3"
      ? [`X-HubSpot-Signature-v3: ${signature}`, `X-HubSpot-Request-Timestamp: ${timestamp}`]
      : [`X-HubSpot-Signature: ${signature}`, `X-HubSpot-Signature-Version: ${version}`], body ?? ""),
  }));
  const standard = ["standard_webhooks", "standard_webhooks_ed25519"].flatMap((name) =>
    vectors(name).vectors.map(({ id, secret, public_key: key, webhook_id, timestamp, body, expected_signature: signature }) => ({
      id,
      secret: key ?? secret,
      scheme: "Standard Webhooks",
      text: raw("POST", "https://a.example/", [`webhook-id: ${webhook_id}`, `webhook-timestamp: ${timestamp}`, `webhook-signature: ${signature}`], body),
    })),
  );
  return [...hubspot, ...standard];
}

test("the published vectors are valid, and a byte more isn't", { skip }, async () => {
  const page = await openVerifier();
  const all = requests();
  assert.ok(all.length >= 12, String(all.length));
  for (const { id, text, secret, scheme } of all) {
    await check(page, text, secret);
    await page.locator(".verdict.delivered").waitFor().catch((error) => assert.fail(`${id}: ${error}`));
    assert.match(await page.locator(".checks").textContent(), new RegExp(scheme), id);
    await check(page, `${text}\n`, secret);
    await page.locator(".verdict.rejected").waitFor().catch((error) => assert.fail(`${id}: ${error}`));
  }
  assert.deepEqual(page.requests, [], "nothing is asked for while verifying");
  assertNoTrouble(page);
});

/** Each example with the verdict and what must be said first. */
const EXAMPLES = {
  "HubSpot v3": ["delivered"],
  "Standard Webhooks": ["delivered"],
  "Public key (ed25519)": ["delivered"],
  "Body parsed and written again": ["rejected", /The body was signed as JSON without white space/],
  "http behind a proxy": ["rejected", /The URL was signed with the other of http and https/],
  "Wrong host": ["rejected", /The URL was signed with another host/],
  "Two mistakes at once": ["rejected", /other of http and https.*JSON without white space|JSON without white space.*other of http and https/],
  "Too old": ["rejected", /The signature is right, but too old/],
  "Timestamp in seconds": ["rejected", /The timestamp was signed in seconds/],
  "Escapes of v3 not decoded": ["rejected", /without decoding the twelve escapes/],
  "whsec_ not decoded": ["rejected", /whsec_/],
  "Wrong secret": ["rejected", undefined, /Most likely the secret is another one/],
};

test("every example shows what it is named for", { skip }, async () => {
  const page = await openVerifier();
  const buttons = await page.locator(".examples button").allTextContents();
  assert.deepEqual(buttons.toSorted(), Object.keys(EXAMPLES).toSorted());
  for (const [name, [kind, why, step]] of Object.entries(EXAMPLES)) {
    await page.getByRole("button", { name: "Clear everything" }).click();
    await page.getByText("Nothing to check yet").waitFor();
    await page.getByRole("button", { name, exact: true }).click();
    await page.locator(`.verdict.${kind}`).waitFor();
    if (why) {
      const first = page.locator(".finding").first();
      await first.waitFor();
      assert.match(await first.locator("h3").textContent(), why, name);
      assert.match(await first.textContent(), /What to change:/, name);
      await first.getByText("The bytes that were signed").waitFor();
    } else {
      assert.equal(await page.locator(".finding").count(), 0, name);
    }
    if (step) assert.match(await page.locator(".steps").textContent(), step, name);
  }
  assert.deepEqual(page.requests, []);
  assertNoTrouble(page);
});

test("what was signed is shown with its white space, where it differs, and without the secret", { skip }, async () => {
  const page = await openVerifier();
  await page.getByRole("button", { name: "http behind a proxy" }).click();
  const finding = page.locator(".finding").first();
  await finding.waitFor();
  assert.equal(await finding.locator("mark.given").textContent(), "");
  assert.equal(await finding.locator("mark.made").textContent(), "s");
  await page.getByRole("button", { name: "Body parsed and written again" }).click();
  await finding.getByText("JSON without white space").waitFor();
  assert.match(await finding.locator(".change").textContent(), /·"Two·towers"/);
  const secret = await secretField(page).inputValue();
  assert.ok(!(await page.locator("main").textContent()).includes(secret), "the secret is shown nowhere");
  // Controls and marks of direction are named, not obeyed.
  const hidden = "a\tb\u202ec\u0000\u00a0d";
  await page.getByRole("tab", { name: "Fill in fields" }).click();
  await page.getByLabel("Body", { exact: true }).fill(hidden);
  await page.locator(".steps").waitFor();
  await page.getByText("The bytes that HubSpot v3 signs here").click();
  assert.equal(await page.getByLabel("The signed body").textContent(), "a\\tb\\u{202e}c\\u{0}\\u{a0}d");
  assertNoTrouble(page);
});

test("the secret stays in the page: not sent, not stored, not in the address", { skip }, async () => {
  const page = await openVerifier();
  const before = await page.evaluate(() => [location.href, history.length]);
  await page.getByRole("button", { name: "Two mistakes at once" }).click();
  await page.locator(".verdict.rejected").waitFor();
  const secret = "an-unmistakable-secret";
  await secretField(page).fill(secret);
  await page.locator(".steps").waitFor();
  await secretField(page).press("Enter");
  await page.getByText("More: clock").click();
  await page.getByRole("button", { name: "Add a secret" }).click();
  await page.getByLabel("Other secret 1", { exact: true }).fill(`${secret}-2`);
  await page.getByLabel("Put the secret in").check();
  await page.getByRole("tab", { name: "Ruby" }).click();
  const kept = await page.evaluate(async () => ({
    local: { ...localStorage },
    session: { ...sessionStorage },
    cookies: document.cookie,
    databases: (await indexedDB.databases()).length,
    caches: await caches.keys(),
    workers: (await navigator.serviceWorker.getRegistrations()).length,
    state: history.state,
    name: window.name,
  }));
  assert.deepEqual(kept, { local: {}, session: {}, cookies: "", databases: 0, caches: [], workers: 0, state: null, name: "" });
  assert.deepEqual(await page.evaluate(() => [location.href, history.length]), before);
  assert.deepEqual(page.requests, []);
  // A page that is left and come back to is empty again.
  await page.goto("about:blank");
  await page.goBack();
  await page.getByText("Nothing to check yet").waitFor();
  assert.equal(await secretField(page).inputValue(), "");
  assertNoTrouble(page);
});

test("a curl command, a HAR entry and fields come to the same", { skip }, async () => {
  const page = await openVerifier();
  const { secret, uri, body, timestamp, expected_signature: signature } = vectors("hubspot").vectors.find(({ version, method }) => version === "v3" && method === "POST");
  const headers = [["X-HubSpot-Signature-v3", signature], ["X-HubSpot-Request-Timestamp", String(timestamp)]];
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const curl = `curl ${quoted(uri)} ${headers.map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`).join(" ")} --data-raw ${quoted(body)}`;
  const har = JSON.stringify({ request: { method: "POST", url: uri, headers: headers.map(([name, value]) => ({ name, value })), postData: { text: body } } });
  for (const text of [curl, har]) {
    await page.getByRole("button", { name: "Clear everything" }).click();
    await page.getByText("Nothing to check yet").waitFor();
    await check(page, text, secret);
    await page.locator(".verdict.delivered").waitFor();
  }
  await page.getByRole("button", { name: "Clear everything" }).click();
  await page.getByRole("tab", { name: "Fill in fields" }).click();
  await page.getByLabel("URL", { exact: true }).fill(uri);
  await page.getByLabel("Headers").fill(headers.map((header) => header.join(": ")).join("\n"));
  await page.getByLabel("Body", { exact: true }).fill(body);
  await page.locator(".verdict.scheduled").filter({ hasText: "the secret is missing" }).waitFor();
  await secretField(page).fill(secret);
  await page.locator(".verdict.delivered").waitFor();
  await page.getByLabel("The body stands here in base64").check();
  await page.getByRole("alert").filter({ hasText: "base64" }).waitFor();
  await page.getByLabel("Body", { exact: true }).fill(Buffer.from(body).toString("base64"));
  await page.locator(".verdict.delivered").waitFor();
  // Its age counts when it is asked for.
  await page.getByRole("button", { name: "Check it by the clock now" }).click();
  await page.getByText("The signature is right, but too old").waitFor();
  await page.getByLabel("Headers").fill("no colon");
  await page.getByText("This line isn't a header").waitFor();
  assertNoTrouble(page);
});

test("line ends that are pasted count", { skip }, async () => {
  const page = await openVerifier();
  const { secret, webhook_id: id, timestamp } = vectors("standard_webhooks").vectors[0];
  const { createHmac } = await import("node:crypto");
  const body = '{\r\n  "test": 1\r\n}';
  const signature = createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64")).update(`${id}.${timestamp}.${body}`).digest("base64");
  const text = ["POST / HTTP/1.1", "Host: a.example", `webhook-id: ${id}`, `webhook-timestamp: ${timestamp}`, `webhook-signature: v1,${signature}`, "", body].join("\r\n");
  await secretField(page).fill(secret);
  await page.getByLabel("The request", { exact: true }).evaluate((area, pasted) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", pasted);
    area.focus();
    area.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, text);
  await page.locator(".verdict.delivered").waitFor();
  // What is typed has lost them, and the page says so.
  await page.getByLabel("The request", { exact: true }).fill(text);
  await page.getByText("The body was signed with line ends of two characters (CR LF).").waitFor();
  assertNoTrouble(page);
});

test("a large request is answered, and shown in part", { skip }, async () => {
  const page = await openVerifier();
  const { createHash } = await import("node:crypto");
  const body = JSON.stringify(Array.from({ length: 4_000 }, (_, at) => ({ id: at, name: `deal ${at}` })));
  assert.ok(body.length > 100_000);
  const signature = createHash("sha256").update(`secretPOSThttps://a.example/${body}`).digest("hex");
  const text = (url) => `POST ${url} HTTP/1.1\nX-HubSpot-Signature: ${signature}\nX-HubSpot-Signature-Version: v2\n\n${body}`;
  await check(page, text("http://a.example/"), "secret");
  await page.locator(".finding").getByText("The URL was signed with the other of").waitFor();
  assert.ok((await page.getByLabel("The signed body").textContent()).length < 10_000);
  await page.getByRole("button", { name: "Show all" }).click();
  assert.ok((await page.getByLabel("The signed body").textContent()).length > 100_000);
  await page.getByText("this one is too long to stand here").waitFor();
  await check(page, text("http://a.example/"), "another secret");
  await page.getByRole("button", { name: /^Search deeper/ }).click();
  await page.locator(".steps").getByText("ways to sign this request").waitFor();
  await check(page, text("https://a.example/"), "secret");
  await page.locator(".verdict.delivered").waitFor();
  assert.deepEqual(page.requests, []);
  assertNoTrouble(page);
});

test("a paste that can't be read says where", { skip }, async () => {
  const page = await openVerifier();
  const area = page.getByLabel("The request", { exact: true });
  await page.getByRole("button", { name: "HubSpot v3", exact: true }).click();
  await page.locator(".verdict.delivered").waitFor();
  for (const [text, where, mark] of [
    ["curl https://a.example/ \\\n  -H 'X: 1' -d \"$BODY\"", "line 2, column 17", "$"],
    ["POST /hook HTTP/1.1\nHost: a.example\nnothing of the kind\n\n{}", "line 3, column 1", "n"],
    ['{"request": {"method": "POST",, "url": 1}}', "line 1, column 31", ","],
    ["hello there, world", "line 1, column 1", "h"],
  ]) {
    await area.fill(text);
    const alert = page.getByRole("alert").filter({ hasText: "This can't be read" });
    await alert.filter({ hasText: where }).waitFor();
    assert.equal(await alert.locator("mark").textContent(), mark, text);
    await alert.getByRole("button", { name: `Go to ${where}` }).click();
    const selected = await area.evaluate(({ value, selectionStart, selectionEnd }) => value.slice(selectionStart, selectionEnd));
    assert.equal(selected, mark, text);
    await page.getByText("Nothing to check yet").waitFor();
  }
  await area.fill("");
  await page.getByRole("alert").waitFor({ state: "hidden" });
  assertNoTrouble(page);
});

test("other secrets, a scheme, a signature and public addresses are taken into account", { skip }, async () => {
  const page = await openVerifier();
  await page.getByRole("button", { name: "Wrong secret" }).click();
  await page.locator(".steps").waitFor();
  await page.getByText("More: clock").click();
  await page.getByRole("button", { name: "Add a secret" }).click();
  await page.getByLabel("Other secret 1", { exact: true }).fill("5b1f8d7e-0c3a-4f7e-9a41-2d6c58e0b913");
  await page.getByText("Signed with the previous secret.").waitFor();
  await page.getByLabel("was in force before").uncheck();
  await page.getByText("Signed with another of the secrets you gave, not with the first.").waitFor();
  await page.getByRole("button", { name: "HubSpot v3", exact: true }).click();
  await page.locator(".verdict.delivered").waitFor();
  await page.getByLabel("Scheme", { exact: true }).selectOption("HubSpot v2");
  await page.getByText("x-hubspot-signature header").first().waitFor();
  await page.getByLabel("Signature, in place of the header's").fill("7fbeb0c1c268a4f6ed967d54326e5e3b307fa49a35eee01c0c5f0b7c436a2ed4");
  await page.locator(".verdict.delivered").waitFor();
  await page.getByLabel("Public addresses").fill(Array(9).fill("https://a.example/").join("\n"));
  await page.getByRole("alert").filter({ hasText: "/public_urls" }).waitFor();
  await page.getByLabel("Public addresses").fill("https://other.example/");
  await page.locator(".verdict.delivered").waitFor();
  await page.getByLabel("Scheme", { exact: true }).selectOption("GitHub (HMAC of the body, hex)");
  await page.getByText("There is no sample for the scheme of this request").waitFor();
  assert.equal(await page.getByRole("status").filter({ hasText: "The signature is not valid" }).count(), 1, "it is read out");
  assertNoTrouble(page);
});

test("a request with markup in it stays text", { skip }, async () => {
  const page = await openVerifier();
  const markup = `<script>window.__run = true</script><img src=x onerror="window.__run = true">`;
  const text = `POST /${encodeURIComponent(markup)} HTTP/1.1\nHost: a.example\nX-HubSpot-Signature-v3: ${markup}\nX-HubSpot-Request-Timestamp: ${markup}\n\n${markup}`;
  await check(page, text, markup);
  await page.locator(".verdict.rejected").waitFor();
  await page.locator("main details").evaluateAll((all) => all.forEach((details) => (details.open = true)));
  await page.getByLabel("The signed body").filter({ hasText: "<script>" }).waitFor();
  for (const tab of ["Fill in fields", "PHP"]) await page.getByRole("tab", { name: tab }).click();
  assert.equal(await page.evaluate(() => window.__run), undefined);
  assert.equal(await page.locator("main script, main img").count(), 0);
  assert.deepEqual(page.requests, []);
  assertNoTrouble(page);
});

const RUNNERS = {
  Node: { file: "sample.mjs", command: (file) => [process.execPath, file], says: "true\n" },
  Python: { file: "sample.py", command: (file) => ["python3", file], says: "True\n" },
  PHP: { file: "sample.php", command: (file) => ["php", file], says: "bool(true)\n" },
  Ruby: { file: "sample.rb", command: (file) => ["ruby", file], says: "true\n" },
  Go: { file: "sample.go", command: (file) => ["go", "run", file], says: "true\n" },
};

/** The languages that are here. */
const spoken = Object.keys(RUNNERS).filter((language) => {
  const [command] = RUNNERS[language].command("");
  return spawnSync(command, [command === "go" ? "version" : "--version"]).status === 0;
});

test("the code is a program that takes the request at hand", { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "varde-verify-"));
  t.after(() => rmSync(folder, { recursive: true }));
  t.diagnostic(`run in ${spoken.join(", ")}`);
  assert.ok(spoken.includes("Node"));
  const page = await openVerifier({ permissions: ["clipboard-read", "clipboard-write"] });
  const code = page.locator(".program");
  const body = `{"say": "it's $5 #{x} \\"quoted\\"", "ø": "\u2028\u{1f5fb}"}`;
  const { createHash, createHmac } = await import("node:crypto");
  const secret = `s3cret "$x" #{y} \\ ø`;
  const url = "https://hooks.example.com/orders?mail=ada%40example.com&x=$y";
  const hash = (text) => createHash("sha256").update(text).digest("hex");
  const v3 = createHmac("sha256", secret).update(`POST${url.replace("%40", "@")}${body}1767323045000`).digest("base64");
  const hubspot = (...headers) => [`POST ${url} HTTP/1.1`, ...headers, "", body].join("\n");
  const standard = vectors("standard_webhooks").vectors[0];
  const pair = vectors("standard_webhooks_ed25519").vectors[1];
  const signed = (vector) => [
    "POST https://a.example/ HTTP/1.1", `Webhook-Id: ${vector.webhook_id}`, `webhook-timestamp: ${vector.timestamp}`,
    `webhook-signature: ${vector.expected_signature}`, "", vector.body,
  ].join("\n");
  const cases = [
    ["HubSpot v3", hubspot("x-hubspot-request-timestamp: 1767323045000", `X-HUBSPOT-SIGNATURE-V3: ${v3}`), secret],
    ["HubSpot v2", hubspot("X-HubSpot-Signature-Version: v2", `X-HubSpot-Signature: ${hash(`${secret}POST${url}${body}`)}`), secret],
    ["HubSpot v1", hubspot("X-HubSpot-Signature-Version: v1", `X-HubSpot-Signature: ${hash(secret + body)}`), secret],
    ["Standard Webhooks", signed(standard), standard.secret],
    ["Standard Webhooks, ed25519", signed(pair), pair.public_key],
  ];
  for (const [scheme, text, key] of cases) {
    await page.getByRole("button", { name: "Clear everything" }).click();
    await page.getByText("Nothing to check yet").waitFor();
    await check(page, text, key);
    await page.locator(".verdict.delivered").waitFor();
    assert.equal(await page.getByLabel("Scheme of the sample").locator("option:checked").textContent(), scheme);
    for (const language of [...spoken, "Rust"]) {
      await page.getByRole("tab", { name: language }).click();
      await page.getByLabel("Put the secret in").uncheck();
      const withoutSecret = await code.textContent();
      if (!key.startsWith("whpk_")) assert.ok(!withoutSecret.includes(key) && withoutSecret.includes("WEBHOOK_SECRET"), `${scheme} in ${language}`);
      await page.getByLabel("Put the secret in").check();
      const withSecret = await code.textContent();
      assert.ok(!withSecret.includes("WEBHOOK_SECRET"), `${scheme} in ${language}`);
      await page.getByRole("button", { name: "Copy the code" }).click();
      await page.getByText("Copied to the clipboard.").first().waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), withSecret);
      if (language === "Rust") continue;
      const { file, command, says } = RUNNERS[language];
      for (const [program, env] of [[withSecret, {}], [withoutSecret, { WEBHOOK_SECRET: key }]]) {
        writeFileSync(join(folder, file), program);
        const [name, ...args] = command(join(folder, file));
        const { stdout, stderr } = spawnSync(name, args, { encoding: "utf8", env: { ...process.env, ...env, GOTOOLCHAIN: "local", GO111MODULE: "off" } });
        if (/No module named 'cryptography'|undefined function sodium/.test(stderr + stdout)) continue;
        assert.equal(stdout.split("\n").slice(-2).join("\n"), says, `${scheme} in ${language}: ${stderr}\n${program}`);
      }
    }
  }
  assert.deepEqual(page.requests, []);
  assertNoTrouble(page);
});

test("the page is one of its own, in its own place", { skip }, async () => {
  const page = await fetch(`${runtime.url}/verify`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-security-policy"), /default-src 'self'.*form-action 'none'/);
  for (const other of ["/verify/", "/verify.html"]) {
    const { status, headers } = await fetch(runtime.url + other, { redirect: "manual" });
    assert.equal(status, 307, other);
    assert.equal(headers.get("location"), "/verify");
  }
  const dashboard = await openPage(browser, runtime.url);
  await dashboard.getByRole("link", { name: "The verifier" }).click();
  await dashboard.getByRole("heading", { name: "Verify a webhook's signature" }).waitFor();
  await dashboard.getByRole("link", { name: "Dashboard" }).click();
  await dashboard.getByRole("heading", { name: "Sign in" }).waitFor();
  assertNoTrouble(dashboard);
});
