/** URLs as people and attackers write them. */

import { vectors } from "../../vectors/vectors.mjs";

const LOOPBACK = new Set(["127.0.0.1", "localhost"]);

function host(url) {
  try {
    return new URL(url).hostname;
  } catch {
    return "";
  }
}

/** None of them may be called. */
export const HOSTILE = vectors("hostile_urls").groups.flatMap(({ urls }) => urls).filter((url) => !LOOPBACK.has(host(url)));

/** An action's URL with one of these is a template, and no URL. */
export const isTemplate = (text) => /\{[{%#]/.test(text);

/** The same numbers at every run, in [0, 1). */
function dice(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const HOSTS = ["good.example", "GOOD.Example", "good.example.", "good.example:443", "good.example:8443", "good.example:00443", "good.example:", "münchen.example", "MÜNCHEN.example", "faß.example", "ναυς.example", "xn--mnchen-3ya.example", "日本語.example", "a-b.c-d.example", "a_b.example", "1.example", "good%2Eexample", "go%6fd.example", "ｇｏｏｄ.example", "good。example", "go\u00adod.example", "x".repeat(63) + ".example", "a.b.c.d.e.f.example", "*.example", "(x).example", "{x}.example", "x~y.example", "x!$&'()*+,;=y.example", "☃.example", "🦊.example"];
export const PATHS = ["", "/", "/a", "/a/b/c", "/a//b", "//a", "/a/./b", "/a/../b", "/../../a", "/a/%2e%2e/b", "/a/%2E/b", "/.%2e/x", "/a/..", "/a/.", "/a b", "/a%20b", "/é", "/%C3%A9", "/%c3%a9", "/%zz", "/%", "/%2", "/a%2Fb", "/a%5Cb", "/a^b", "/a`b", "/a{b}", "/a|b", '/a"b', "/a<b>", "/a'b", "/a[b]", "/a;b=c", "/a:b", "/a@b", "/a,b", "/a+b", "/a&b=c", "/a=b", "/~a", "/a!$()*", "/🦊", "/日本", "/\u00ad", "/\u200d", "/\ud7ff", "/a\u00a0b", "/%00", "/%0d%0aHost:x", "/.well-known/x", "/a.b", "/..a", "/a..", "/...", "/%5e", "/%7e"];
export const QUERIES = ["", "?", "?a", "?a=b", "?a=b&c=d", "?a=b c", "?a=%20", "?a=+", "?é", "?%C3%A9", "?a'b", '?a"b', "?a<b>", "?a`b", "?a{b}", "?a|b", "?a^b", "?a\\b", "?a[b]=c", "?a/b", "?a?b", "?a:b@c", "?%", "?%zz", "?🦊", "?a=1;b=2", "?&", "?=", "?a=b#c", "#", "#a?b", "?a\u00a0b", "?%00", "?a=%2e%2e"];

/** Thousands of URLs as people and attackers write them. */
export function* urls() {
  for (const host of HOSTS) for (const path of PATHS.slice(0, 6)) yield `https://${host}${path}`;
  for (const path of PATHS) for (const query of QUERIES) yield `https://good.example${path}${query}`;
  const roll = dice(7);
  const pick = (list) => list[Math.floor(roll() * list.length)];
  const alphabet = [..."abcXYZ019-._~!$&'()*+,;=:@%/?#[]{}|^`\"<> é🦊\u00adß"];
  for (let n = 0; n < 1_500; n += 1) {
    const noise = Array.from({ length: 1 + Math.floor(roll() * 12) }, () => pick(alphabet)).join("");
    yield pick([
      () => `https://${pick(HOSTS)}${pick(PATHS)}${noise}${pick(QUERIES)}`,
      () => `https://${noise}.example${pick(PATHS)}`,
      () => `https://${pick(HOSTS)}/${noise}${pick(QUERIES)}`,
      () => `https://good.example:${pick(["443", "8443", "1024", "65535", "22", "x"])}${pick(PATHS)}?${noise}`,
    ])();
  }
  yield* HOSTILE;
}
