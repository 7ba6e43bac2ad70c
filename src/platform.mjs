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

/** Whether this env is the `Sender` entrypoint's: only `entry.mjs` can say so. */
export function isSender(env) {
  return env.VARDE_ENTRYPOINT === "sender";
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

/** An answer. `headers` is `[[name, value], …]`, in JSON. */
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

/** Exchanges with one outbox that are under way at a time. What comes beyond them waits and goes together. */
const EXCHANGES = 2;
/** What one exchange may weigh, in bytes, unless it is a single message. */
const MOST_BYTES = 1024 * 1024;
/** How long a message waits for one before it goes by itself: whoever had it in hand may be gone. */
const PATIENCE_MS = 10_000;
/** What waits for each outbox: `{ underWay, waiting: [{ message, tell }] }` by its name. */
const queues = new Map();

/**
 * Tells the outbox `name` something: its reply. An outbox takes and answers a message on each line.
 *
 * Requests share nothing but bytes: each exchange is made by one of those whose messages are in it, which then
 * lets the first one that waits make the next.
 */
export async function exchange(env, name, message) {
  // A copy: the wasm's memory moves when it grows.
  const own = { message: message.slice(), tell: undefined };
  const queue = queues.get(name) ?? { underWay: 0, waiting: [] };
  queues.set(name, queue);
  if (queue.underWay < EXCHANGES) {
    queue.underWay += 1;
  } else {
    const told = await waitInLine(name, queue, own);
    if (told.reply) return told.reply;
    if (told.failed) throw new Error(told.failed);
  }
  const others = takeOthers(queue.waiting, own.message.length);
  try {
    const replies = await env.OUTBOX.getByName(name).exchange(joinLines(own, others));
    const [first, ...rest] = splitLines(replies);
    others.forEach((other, at) => other.tell(rest[at] ? { reply: rest[at] } : { failed: "no reply" }));
    return first;
  } catch (error) {
    for (const other of others) other.tell({ failed: String(error?.message ?? error) });
    throw error;
  } finally {
    const next = queue.waiting.shift();
    if (next) next.tell({});
    else if (--queue.underWay === 0 && queues.get(name) === queue) queues.delete(name);
  }
}

/** Waits until somebody else has the reply, or lets this one go. */
async function waitInLine(name, queue, own) {
  let timer;
  const told = await new Promise((resolve) => {
    own.tell = resolve;
    queue.waiting.push(own);
    timer = setTimeout(() => {
      // Who doesn't answer may never answer: those who come now form a queue of their own.
      if (queues.get(name) === queue) queues.delete(name);
      const at = queue.waiting.indexOf(own);
      if (at >= 0) queue.waiting.splice(at, 1);
      queue.underWay += 1;
      resolve({});
    }, PATIENCE_MS);
  });
  clearTimeout(timer);
  return told;
}

/** Takes those out of the queue that fit into one exchange. */
function takeOthers(waiting, length) {
  let count = 0;
  for (let total = length; count < waiting.length; count += 1) {
    total += waiting[count].message.length;
    if (total > MOST_BYTES) break;
  }
  return waiting.splice(0, count);
}

function joinLines(own, others) {
  if (others.length === 0) return own.message;
  const lines = new Uint8Array(others.reduce((total, { message }) => total + 1 + message.length, own.message.length));
  lines.set(own.message);
  let at = own.message.length;
  for (const { message } of others) {
    lines[at] = 10;
    lines.set(message, at + 1);
    at += 1 + message.length;
  }
  return lines;
}

function splitLines(bytes) {
  const lines = [];
  let from = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  lines.push(bytes.subarray(from));
  return lines;
}

/** Calls an endpoint; the whole of it ends at the deadline. Gives back `[status, headers, body, truncated]`. */
export async function callEndpoint(url, method, headers, body, timeoutMs, limit) {
  const response = await fetch(url, {
    method,
    headers: JSON.parse(headers),
    // Bytes and not a text: a text body would bring a content type of its own.
    body: body.length > 0 ? body.slice() : undefined,
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
  const answered = JSON.stringify([...response.headers]);
  return [response.status, answered, ...(await readResponse(response, limit))];
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
  if (chunks.length === 1) return [chunks[0], truncated];
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return [bytes, truncated];
}
