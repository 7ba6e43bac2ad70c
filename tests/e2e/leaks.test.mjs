/**
 * What a secret looks like from outside: like nothing. A run with every kind of secret and token, whose
 * endpoints echo all they get; then everything that it wrote is searched for each of them, in every spelling:
 * the log, the answers, the metrics, the pages, the rows, and the files under the rows.
 */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";

import { skip as noBrowser, openPage, signIn, startBrowser, visit } from "../../www/tests/support/browser.mjs";
import { Api } from "./support/api.mjs";
import { contact, oneAction, quickly, stage } from "./support/stage.mjs";

/** What this test itself says. */
const said = [];
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream);
  stream.write = (chunk, ...rest) => {
    said.push(Buffer.from(chunk).toString());
    return write(chunk, ...rest);
  };
}

const MASTER_KEY = randomBytes(32).toString("base64");
const PREVIOUS_KEY = randomBytes(32).toString("base64");
const { receiver, runtime } = await stage({ variables: { VARDE_MASTER_KEY: MASTER_KEY, VARDE_MASTER_KEY_PREVIOUS: PREVIOUS_KEY } });

/** What was said, by whom. @type {{ who: string, text: string }[]} */
const written = [];

/** What must be nowhere, by what it is. @type {Map<string, string>} */
const secrets = new Map([
  ["the master key", MASTER_KEY],
  ["the former master key", PREVIOUS_KEY],
  ["the admin token", runtime.adminToken],
]);

/** Calls whose answer shows a value, once: which call, and which value. @type {{ who: string, value: string }[]} */
const shownOnce = [];

class RecordingApi extends Api {
  async call(method, where, options) {
    const answer = await super.call(method, where, options);
    const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    written.push({ who: `${method} ${where} -> ${answer.status}`, text: `${headers}\n${answer.text}` });
    return answer;
  }

  as(token) {
    return new RecordingApi(runtime, token);
  }
}

const api = new RecordingApi(runtime);

/** A value that a person picked, with characters that every spelling writes differently. */
const picked = (what) => {
  const value = `${what} +/=&%"'~é ${randomBytes(12).toString("base64")}`;
  secrets.set(what, value);
  return value;
};

/** A value that an answer shows once. */
async function made(what, method, where, json, field = "value") {
  const answer = await api.done(method, where, json);
  secrets.set(what, answer[field]);
  shownOnce.push({ who: `${method} ${where}`, value: answer[field] });
  return answer[field];
}

/** An endpoint that says back all it was told, as it came and spelled anew, and then fails or not. */
const echo = (status) => (arrival) => {
  const all = [arrival.url, ...Object.values(arrival.headers), arrival.text];
  const credentials = all.map((text) => text.replace(/^(Bearer|Basic) /, ""));
  const spelled = credentials.flatMap((text) => [text, Buffer.from(text).toString("base64"), Buffer.from(text, "base64").toString(), encodeURIComponent(text), decodeURIComponent(text.replace(/%(?![0-9a-f]{2})/gi, "%25"))]);
  return {
    status,
    headers: { "content-type": "application/json", "x-echo": encodeURIComponent(all.join("|")).slice(0, 6_000) },
    body: JSON.stringify({ said: all, spelled }),
  };
};

describe("a run with secrets of every kind", { concurrency: false }, () => {
  const pages = [];

  it("is made, by good callers and by bad ones", async () => {
    const auths = {
      bearer: { type: "bearer", secret: "bearer" },
      "api-key": { type: "api_key", location: "header", name: "X-Key", secret: "api-key" },
      "api-key-in-query": { type: "api_key", location: "query", name: "key", secret: "api-key-in-query" },
      basic: { type: "basic", username: "varde", secret: "basic" },
      hubspot: { type: "hubspot_signature", secret: "hubspot", versions: ["v2", "v3"] },
    };
    const ascii = (what) => {
      secrets.set(what, `${what}+/=&%~${randomBytes(18).toString("base64")}`);
      return secrets.get(what);
    };
    for (const name of ["bearer", "api-key", "basic"]) await api.secret(name, ascii(name));
    for (const name of ["api-key-in-query", "hubspot"]) await api.secret(name, picked(name));
    for (const [name, generate] of [["webhooks", "standard_webhooks"], ["pair", "standard_webhooks_ed25519"], ["made", "token"]]) {
      await made(name, "PUT", `/v1/secrets/${name}`, { generate });
    }
    await made("made, rotated", "POST", "/v1/secrets/made/rotate", { generate: "token", overlap_s: 3_600 });
    await api.done("POST", "/v1/secrets/hubspot/rotate", { value: picked("hubspot, planned"), activate_at: Date.now() + 3_600_000 });
    auths.webhooks = { type: "standard_webhooks", secret: "webhooks" };
    auths.pair = { type: "standard_webhooks", secret: "pair" };
    auths.made = { type: "bearer", secret: "made" };

    await api.secret("client", picked("client"));
    const granted = `granted-${randomBytes(24).toString("base64url")}`;
    secrets.set("the granted token", granted);
    const grant = JSON.stringify({ access_token: granted, token_type: "Bearer", expires_in: 3_600 });
    const tokenUrl = receiver.endpoint("/token", () => ({ headers: { "content-type": "application/json" }, body: grant }));
    auths.oauth2 = { type: "oauth2_client_credentials", token_url: tokenUrl.url, client_id: "varde", secret: "client" };

    for (const [id, auth] of Object.entries(auths)) {
      const endpoint = receiver.endpoint(`/leak/${id}`, echo(503), echo(200));
      await api.workflow(id, oneAction(endpoint.url, { auth, retry: { ...quickly }, outputs: [{ name: "said", pointer: "/said", type: "json" }, { name: "spelled", pointer: "/spelled", type: "json" }] }));
      const { id: enrollment } = await api.enroll(id, contact(`of-${id}`));
      const delivery = await api.settled(id, enrollment, "delivered");
      assert.equal(endpoint.requests.length, 2, id);
      pages.push(`#/workflows/${id}`, `#/workflows/${id}/edit`, `#/workflows/${id}/deliveries/${delivery.id}`, `#/workflows/${id}/enrollments/${enrollment}`);
      await api.get(`/v1/workflows/${id}/enrollments`);
      await api.deliveries(id);
      await api.get(`/v1/workflows/${id}`);
      await api.done("POST", `/v1/workflows/${id}/deliveries/${delivery.id}/replay`);
      await api.drained(id);
      await api.done("POST", `/v1/workflows/${id}/actions/tell/test`, { record: contact("tried") });
    }

    // One that nothing listens for: what the runtime says of it is logged or stored.
    await api.workflow("nobody", oneAction("http://127.0.0.1:1/nobody", { auth: auths["api-key-in-query"], retry: { ...quickly, max_age_ms: 300 } }));
    const lost = await api.enroll("nobody", contact());
    await api.settled("nobody", lost.id, "exhausted");
    await api.done("POST", "/v1/workflows/nobody/replays", { status: "exhausted" });

    // A secret that may not go there, a draft with a bad token URL, and bodies that are refused with a value in them.
    await api.done("PUT", "/v1/secrets/limited", { value: picked("limited"), hosts: ["elsewhere.example"] });
    await api.call("POST", "/v1/test", { json: { object_type: "contact", record: contact(), action: { ...oneAction(receiver.endpoint("/limited").url, { auth: { type: "bearer", secret: "limited" } }).actions[0] } } });
    for (const [what, json] of Object.entries({ untrimmed: { value: ` ${picked("untrimmed")}` }, control: { value: `${picked("control")}\u0007x` }, twice: { value: picked("twice"), generate: "token" }, unknown: { value: picked("unknown"), colour: 1 }, field: { [picked("field")]: 1 } })) {
      const { status } = await api.call("PUT", `/v1/secrets/refused-${what}`, { json });
      assert.equal(status, 422, what);
    }
    secrets.delete("field"); // A field's name isn't taken for a secret; the answer points at it.
    await api.call("PUT", "/v1/secrets/broken", { raw: `{"value": "${(secrets.set("broken", "broken-value-0123456789"), "broken-value-0123456789")}`, headers: { "content-type": "application/json" } });

    // Callers: with good tokens, with wrong ones, and with a token where none belongs.
    const reader = await made("a reader's token", "POST", "/v1/tokens", { name: "reader", scope: "read" }, "token");
    const enroller = await made("an enroller's token", "POST", "/v1/tokens", { name: "enroller", scope: "enroll" }, "token");
    await api.as(reader).refused(403, "PUT", "/v1/secrets/no", { value: "x" });
    await api.as(enroller).enroll("bearer", contact("by-enroller"));
    await api.drained("bearer");
    const wrong = randomBytes(32).toString("base64url");
    secrets.set("a wrong token", wrong);
    await api.as(wrong).refused(401, "GET", "/v1/workflows");
    await api.as(reader).refused(403, "POST", "/v1/master-key/reseal");
    await api.get("/v1/tokens");
    await api.get("/v1/secrets");

    // Triggers whose token comes in a header and in the query, and a bad one of it.
    await api.secret("inbound", ascii("inbound"));
    const guess = `guess-${randomBytes(18).toString("base64url")}`;
    secrets.set("a guessed trigger token", guess);
    for (const location of ["header", "query"]) {
      const verify = { type: "token", location, name: "x-token", secret: "inbound" };
      const trigger = await api.done("POST", "/v1/workflows/bearer/triggers", { name: `Orders by ${location}`, verify });
      for (const token of [secrets.get("inbound"), guess]) {
        const url = location === "query" ? `${trigger.url}?x-token=${encodeURIComponent(token)}` : trigger.url;
        const headers = { "content-type": "application/json", ...(location === "header" && { "x-token": token }) };
        const response = await fetch(url, { method: "POST", headers, body: '{"a": 1}' });
        written.push({ who: `POST ${trigger.url}`, text: `${response.status} ${await response.text()}` });
      }
      const { items } = await api.get(`/v1/workflows/bearer/triggers/${trigger.id}/events`);
      assert.ok(items.length > 0, location);
      pages.push(`#/workflows/bearer/triggers/${trigger.id}`);
    }
    pages.push("#/workflows/bearer/triggers", "#/secrets", "#/tokens", "#/workflows", "#/workflows/nobody/replays");

    await api.expect(200, "POST", "/v1/master-key/reseal");
    await api.expect(200, "GET", "/metrics");
    // An exception and its trace.
    await api.call("GET", "/__testing/panic").catch(() => {});
  });

  it("shows none of them on a page", { skip: noBrowser }, async () => {
    const browser = await startBrowser();
    const page = await openPage(browser, runtime.url);
    await signIn(page, runtime.adminToken);
    for (const hash of pages) {
      await visit(page, hash);
      await page.evaluate(() => document.querySelectorAll("main details").forEach((details) => (details.open = true)));
      const values = await page.evaluate(() => [...document.querySelectorAll("input, textarea")].map(({ value }) => value).join("\n"));
      written.push({ who: `the page ${hash}`, text: `${await page.content()}\n${await page.innerText("body")}\n${values}` });
    }
    assert.ok(pages.length > 40);
  });

  it("writes none of them into a log line, an answer, a row or a file", async () => {
    await runtime.kill9();
    written.push({ who: "the log", text: runtime.output() }, { who: "the test's own output", text: said.join("") });
    const { rows, files } = stored(runtime.state);
    for (const table of ["deliveries", "attempts", "enrollments", "secrets", "tokens", "events", "workflows"]) {
      assert.ok(rows.some(({ who }) => who.startsWith(`a row of ${table} in `)), `nothing of ${table} was looked at`);
    }
    written.push(...rows, ...files);

    const found = [];
    for (const [what, secret] of secrets) {
      const spellings = spellingsOf(secret);
      for (const { who, text } of written) {
        // The answer that made a value shows it.
        if (shownOnce.some((once) => once.value === secret && who.startsWith(`${once.who} -> `))) continue;
        for (const [how, spelling] of spellings) {
          if (text.includes(spelling)) found.push(`${what}, ${how}, in ${who}`);
        }
      }
    }
    assert.deepEqual([...new Set(found)], []);
  });

  it("would be found, if it were there", () => {
    const value = 'a "secret" +/=é & more';
    for (const text of [value, JSON.stringify(value), encodeURIComponent(value), new URLSearchParams({ value }).toString(), ...["", "x", "xy"].map((before) => Buffer.from(`${before}${value}:z`).toString("base64")), Buffer.from(value).toString("base64url"), Buffer.from(value).toString("hex")]) {
      assert.ok([...spellingsOf(value).values()].some((spelling) => text.includes(spelling)), text);
    }
  });
});

/** How a text may be spelled, by what the spelling is called. */
function spellingsOf(secret) {
  const bytes = Buffer.from(secret);
  const strict = [...bytes].map((byte) => (/[\w.~-]/.test(String.fromCharCode(byte)) && byte < 128 ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0").toUpperCase()}`)).join("");
  const all = new Map([
    ["as it is", secret],
    ["in JSON", JSON.stringify(secret).slice(1, -1)],
    ["without its padding", secret.replace(/=+$/, "")],
    ["percent-encoded", encodeURIComponent(secret)],
    ["percent-encoded strictly", strict],
    ["percent-encoded in lower case", strict.replace(/%../g, (escape) => escape.toLowerCase())],
    ["form-encoded", new URLSearchParams([["", secret]]).toString().slice(1)],
    ["hex", bytes.toString("hex")],
  ]);
  // Inside a longer text base64 starts at one of three places; the characters at both ends depend on the neighbours.
  for (const before of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64").replace(/=+$/, "");
    const core = text.slice(before === 0 ? 0 : before + 1, -1);
    all.set(`base64 from ${before}`, core);
    all.set(`base64url from ${before}`, core.replaceAll("+", "-").replaceAll("/", "_"));
    all.set(`base64 from ${before} in JSON or a URL`, encodeURIComponent(core));
  }
  return all;
}

/** Every cell of every database below a folder, and the bytes of every file. */
function stored(folder) {
  const rows = [];
  const files = [];
  const found = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  for (const name of found) {
    const bytes = readFileSync(path.join(folder, name));
    for (const encoding of ["latin1", "utf8"]) files.push({ who: `the file ${name}`, text: bytes.toString(encoding) });
  }
  // To open one is to change its neighbours, so the bytes come first.
  for (const name of found.filter((name) => name.endsWith(".sqlite"))) {
    const file = path.join(folder, name);
    const database = new DatabaseSync(file);
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    for (const { name: table } of tables) {
      const all = database.prepare(`SELECT * FROM "${table}"`);
      all.setReadBigInts(true);
      for (const row of all.all()) {
        const cells = Object.values(row).map((cell) => (cell instanceof Uint8Array ? Buffer.from(cell).toString() : String(cell)));
        rows.push({ who: `a row of ${table} in ${name}`, text: cells.join("\n") });
      }
    }
    database.close();
  }
  return { rows, files };
}
