// What the Worker asks of the platform for every delivery, in one crossing between wasm and JavaScript each:
// a crossing costs more than what most of these calls do.

/** Runs a statement. `bindings` is a JSON array; the answer is the rows as JSON, nothing when there are none. */
export function execute(sql, statement, bindings) {
  const rows = [...sql.exec(statement, ...JSON.parse(bindings)).raw()];
  return rows.length === 0 ? undefined : JSON.stringify(rows);
}

/** As `execute`, with what it read and wrote before the rows. */
export function executeCounted(sql, statement, bindings) {
  const cursor = sql.exec(statement, ...JSON.parse(bindings));
  const rows = [...cursor.raw()];
  return JSON.stringify([cursor.rowsRead, cursor.rowsWritten, rows]);
}

/** Sends a message to the object `name` of a binding, or to a service that has no name: `[status, body]`. */
export async function call(env, binding, name, message) {
  const target = name === undefined ? env[binding] : env[binding].getByName(name);
  // The host is never looked at: the binding says who gets it.
  const response = await target.fetch("https://varde.internal/", { method: "POST", body: message.slice() });
  return [response.status, new Uint8Array(await response.arrayBuffer())];
}

/** Calls an endpoint; the whole of it ends at the deadline. Gives back `[status, headers, body, truncated]`. */
export async function callEndpoint(url, method, headers, body, timeoutMs, limit) {
  const sent = new Headers();
  for (const [name, value] of JSON.parse(headers)) sent.set(name, value);
  const response = await fetch(url, {
    method,
    headers: sent,
    // Bytes and not a text: a text body would bring a content type of its own.
    body: body.length > 0 ? body.slice() : undefined,
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
  const answered = JSON.stringify([...response.headers]);
  return [response.status, answered, ...(await readCapped(response.body, limit))];
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
  if (chunks.length === 1) return [chunks[0], truncated];
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return [bytes, truncated];
}
