// What the Worker asks of the platform for every delivery, in one crossing between wasm and JavaScript each:
// a crossing costs more than what most of these calls do.

/** Runs a statement. The answer is the rows as JSON, nothing when there are none. */
export function execute(sql, statement, bound, texts) {
  const rows = [...sql.exec(statement, ...bindings(bound, texts)).raw()];
  return rows.length === 0 ? undefined : JSON.stringify(rows);
}

/** Runs a statement that gives no rows back: how many it wrote. */
export function write(sql, statement, bound, texts) {
  return sql.exec(statement, ...bindings(bound, texts)).rowsWritten;
}

/** As `execute`, with what it read and wrote before the rows. */
export function executeCounted(sql, statement, bound, texts) {
  const cursor = sql.exec(statement, ...bindings(bound, texts));
  const rows = [...cursor.raw()];
  return JSON.stringify([cursor.rowsRead, cursor.rowsWritten, rows]);
}

/**
 * What a statement is bound to: after long texts, `texts` characters in all, a JSON array, in which `[length]` stands
 * for the next one of them. Most of them are JSON themselves, whose every quote would have to be escaped and read.
 */
function bindings(bound, texts) {
  let at = 0;
  const cells = JSON.parse(texts > 0 ? bound.slice(texts) : bound);
  return cells.map((cell) => (Array.isArray(cell) ? bound.slice(at, (at += cell[0])) : cell));
}

/** Tells `answered` what a promise comes to, and which one. */
export function when(promise, number, answered) {
  promise.then(
    (value) => answered(number, true, value),
    (error) => answered(number, false, error),
  );
}

/** Keeps an invocation alive until the function that it gives back is called: `(true)`, or `(false, error)`. */
export function holdOpen(context) {
  let done;
  context.waitUntil(new Promise((resolve, reject) => (done = (kept, value) => (kept ? resolve() : reject(value)))));
  return done;
}

/** The bytes of a buffer, or of a view of one. */
export function bytesOf(buffer) {
  return buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : buffer;
}

/** The parts of a request that nearly every call looks at, in JSON. */
export function takeApart({ method, url, headers }) {
  return JSON.stringify([
    method,
    url,
    headers.get("authorization"),
    headers.get("content-type"),
    headers.get("content-length"),
    headers.get("idempotency-key"),
    headers.get("cf-connecting-ip"),
  ]);
}

/** An answer. `headers` is `{name: value}`, in JSON: a list of pairs would cost the runtime an iterator for each. */
export function respond(status, headers, body) {
  return new Response(body.length > 0 ? body.slice() : null, { status, headers: JSON.parse(headers) });
}

/** Sends a message to the object `name` of a binding, or to a service that has no name: `[status, body]`. */
export async function call(env, binding, name, message) {
  const target = name === undefined ? env[binding] : env[binding].getByName(name);
  // The host is never looked at: the binding says who gets it.
  const response = await target.fetch("https://varde.internal/", { method: "POST", body: message.slice() });
  return [response.status, new Uint8Array(await response.arrayBuffer())];
}

const encoder = new TextEncoder();

/**
 * Calls an endpoint; the whole of it ends at the deadline. `headers` is `{name: value}`, in JSON. Gives back
 * `[status, headers, truncated]` as a line of JSON, and after it the body.
 */
export async function callEndpoint(url, method, headers, content, timeoutMs, limit) {
  const response = await fetch(url, {
    method,
    headers: JSON.parse(headers),
    // Bytes and not a text: a text body would bring a content type of its own.
    body: content.length > 0 ? content.slice() : undefined,
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
  const [body, truncated] = await readResponse(response, limit);
  const head = encoder.encode(`${JSON.stringify([response.status, [...response.headers], truncated])}\n`);
  return body.length > 0 ? concatenate([head, body]) : head;
}

/** The body of an answer, in one go where it is short. What is encoded may be longer than it says. */
async function readResponse(response, limit) {
  const length = Number(response.headers.get("content-length") ?? NaN);
  if (!(length <= limit) || response.headers.has("content-encoding")) return readCapped(response.body, limit);
  return [length > 0 ? new Uint8Array(await response.arrayBuffer()) : new Uint8Array(0), false];
}

/** Reads a stream up to a limit: `[bytes, truncated]`. What is beyond is canceled, so that nothing more is sent. */
export async function readCapped(stream, limit) {
  const chunks = [];
  let length = 0;
  let truncated = false;
  if (stream) {
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const room = limit - length;
      chunks.push(value.length > room ? value.subarray(0, room) : value);
      length += Math.min(value.length, room);
      if (value.length > room) {
        truncated = true;
        // Whether it hears of it or not, nothing more is read.
        reader.cancel().catch(() => {});
        break;
      }
    }
  }
  return [chunks.length === 1 ? chunks[0] : concatenate(chunks), truncated];
}

function concatenate(chunks) {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
