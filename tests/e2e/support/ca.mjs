/**
 * A certificate authority for one test run, made when it is needed, so that no key lies in the repository.
 */

import { generate } from "selfsigned";

/**
 * @typedef {object} Authority
 * @property {string} certificate PEM of the authority; what a client has to trust
 * @property {{ key: string, cert: string }} leaf PEM pair for `localhost` and `127.0.0.1`
 */

const elliptic = { keyType: "ec", curve: "P-256", algorithm: "sha256" };

/**
 * Makes an authority and one leaf for loopback.
 *
 * @param {string} [name] common name of the authority
 * @returns {Promise<Authority>}
 */
export async function makeAuthority(name = "Varde test authority") {
  // A start in the past: a clock that is set back a little must not break a run.
  const notBeforeDate = new Date(Date.now() - 3_600_000);
  const authority = await generate([{ name: "commonName", value: name }], {
    ...elliptic,
    notBeforeDate,
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const leaf = await generate([{ name: "commonName", value: "localhost" }], {
    ...elliptic,
    notBeforeDate,
    ca: { key: authority.private, cert: authority.cert },
    extensions: [
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, critical: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          { type: 7, ip: "127.0.0.1" },
        ],
      },
    ],
  });
  return { certificate: authority.cert, leaf: { key: leaf.private, cert: leaf.cert } };
}
