/** The vectors of rendering, in the Worker: by its own wasm, and as they arrive. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { renderVectors, withoutVersion } from "../vectors/vectors.mjs";
import { stage } from "./support/stage.mjs";

const { api, receiver, runtime } = await stage();

const cases = renderVectors();

describe("a vector", () => {
  for (const { id, input, request, error } of cases) {
    it(`${id} is rendered as natively`, async () => {
      const answer = await fetch(`${runtime.url}/__testing/render`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: input,
      });
      const rendered = await answer.json();
      if (error === undefined) assert.deepEqual(withoutVersion(rendered), request);
      else assert.equal(rendered.code, error, JSON.stringify(rendered));
    });
  }
});

/** Puts a URL on the receiver; its path and query stay. @param {string} url */
const moved = (url) => url.replace(/^https:\/\/[^/?#]*/i, receiver.origin);

describe("a vector's request", () => {
  const endpoints = new Map();
  // An enrollment has no outputs of its own to give, and another time.
  const sent = cases.filter((it) => it.request && !it.outputs && !JSON.stringify(it.action).includes('"now"'));
  assert.ok(sent.length >= 18, `${sent.length}`);
  for (const { id, action, record, event, object_type: type, request } of sent) {
    it(`${id} arrives as natively rendered`, async () => {
      const url = moved(request.url);
      const { pathname } = new URL(url);
      if (!endpoints.has(pathname)) endpoints.set(pathname, receiver.endpoint(pathname));
      const endpoint = endpoints.get(pathname);
      const before = endpoint.requests.length;
      await api.workflow(id, { name: id, object_type: type, actions: [{ ...action, url: moved(action.url) }] });
      await api.enroll(id, record, { event });
      const arrival = (await endpoint.waitFor(before + 1))[before];
      assert.equal(arrival.method, request.method);
      assert.equal(arrival.url, url);
      assert.equal(arrival.text, request.body);
      for (const [name, value] of request.headers) {
        assert.equal(arrival.headers[name].replace(/^Varde\/\d+\.\d+\.\d+$/, "Varde/{version}"), value, name);
      }
    });
  }
});
