/**
 * The routes that the Worker's code has, read from the code itself: so a test that walks them can't miss one
 * that somebody adds. What can't be read fails the test.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD"];

const source = (file) => readFileSync(new URL(`../../../src/http/${file}`, import.meta.url), "utf8");

/**
 * @typedef {object} Route
 * @property {string} method or `*` for any
 * @property {string[]} parts of its path; `{}` stands for a name, `**` for whatever follows
 */

/** All routes, those of delegates included. @returns {Route[]} */
export function routes() {
  return armsOf("../http.rs").flatMap((arm) => {
    const delegate = /^(\w+)::dispatch\(/.exec(arm.answer);
    if (delegate === null || delegate[1] === "testing") return routesOf(arm);
    assert.equal(arm.parts.at(-1), "**", `a delegate gets the rest of a path: ${arm.text}`);
    const before = arm.parts.slice(0, -1);
    return armsOf(`${delegate[1]}.rs`).flatMap((inner) => routesOf({ ...inner, parts: [...before, ...inner.parts] }));
  });
}

function routesOf({ methods, parts }) {
  return methods.map((method) => ({ method, parts }));
}

/** The arms of a file's `dispatch`, but for the last, which refuses what is left. */
function armsOf(file) {
  const dispatch = /^(?:pub )?(?:async )?fn dispatch\b[^]*?^}$/m.exec(source(file))?.[0];
  assert.ok(dispatch, `${file} has a dispatch`);
  const body = /^    match \([^)]*\) \{\n([^]*?)^    \}$/m.exec(dispatch)?.[1];
  assert.ok(body, `the dispatch of ${file} is one match`);
  const all = body.split("\n").filter((line) => /^ {8}[^ }]/.test(line) && !/^ {8}(#\[|\/\/)/.test(line));
  assert.match(all.at(-1), /^ {8}\(method, _\) => (?:ready\()?Err\(Problem::no_such_call\(/, `${file} refuses what it doesn't know`);
  return all.slice(0, -1).map((line) => armOf(line.trim(), body));
}

function armOf(line, body) {
  const found = /^\(([^,]*), \[([^\]]*)\]\) => (.*)$/.exec(line);
  assert.ok(found, `an arm like any other: ${line}`);
  const [, methods, parts, answer] = found;
  // What stands in braces begins on the next line.
  const next = answer === "{" ? body.slice(body.indexOf(line)).split("\n")[1].trim() : answer;
  return { text: line, methods: methodsOf(methods), parts: partsOf(parts, line), answer: next };
}

function methodsOf(text) {
  if (text === "_" || text === "method") return ["*"];
  return text.split("|").map((name) => {
    const method = name.trim().replace("Method::", "").toUpperCase();
    assert.ok(METHODS.includes(method), `a method like any other: ${name}`);
    return method;
  });
}

function partsOf(text, line) {
  if (text.trim() === "") return [];
  return text.split(",").map((part) => {
    const name = part.trim();
    if (/^(\w+ @ )?\.\.$/.test(name)) return "**";
    if (/^"[^"]+"$/.test(name)) return JSON.parse(name);
    assert.match(name, /^\w+$/, `a part like any other: ${line}`);
    return "{}";
  });
}
