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

/** Tells the outbox `name` something: its reply. */
export function exchange(env, name, message) {
  return env.OUTBOX.getByName(name).exchange(message.slice());
}

/** Exchanges that one request makes for others; an invocation may make 50 calls. */
const MOST_ROUNDS = 20;
/** Who has waited so long for an outbox may be gone, and gets no more settles of others. */
const STUCK_MS = 2_000;
/** Bytes of settles that wait for one outbox. */
const MOST_WAITING = 1024 * 1024;
/** Who settles with each outbox just now, by its name: `{ since, bytes, waiting: [{ message }] }`. */
const settling = new Map();

/** Whether some request settles with the outbox `name` just now, and can take others' settles along. */
export function isSettledWith(name) {
  const leader = settling.get(name);
  return leader !== undefined && leader.bytes < MOST_WAITING && Date.now() - leader.since <= STUCK_MS;
}

/**
 * Hands a settle over to a request that settles with the same outbox just now: `false` when there is none.
 * Requests share nothing but bytes, and none waits for another one: nobody hears the reply to what is handed over.
 */
export function handOverSettle(name, message) {
  if (!isSettledWith(name)) return false;
  const leader = settling.get(name);
  leader.bytes += message.length;
  leader.waiting.push({ message: message.slice() });
  return true;
}

/** Settles with the outbox `name`, and takes along what others hand over in the meantime: the reply to the first. */
export async function settle(env, name, message) {
  // What another one has left behind, too.
  const leader = { since: 0, bytes: 0, waiting: settling.get(name)?.waiting.splice(0) ?? [] };
  settling.set(name, leader);
  const outbox = env.OUTBOX.getByName(name);
  const [reply] = await settleAll(outbox, leader, [message.slice()]);
  if (hasWork(reply)) {
    // It has an attempt to make, whose time runs; meanwhile what waits arrives.
    stepBack(name, leader);
    if (leader.waiting.length > 0) {
      settleAll(outbox, leader, []).catch(() => {
        // Another one may bring them; otherwise their leases end.
        for (const { message: other } of leader.waiting) handOverSettle(name, other);
      });
    }
    return reply;
  }
  for (let rounds = 1; leader.waiting.length > 0; rounds += 1) {
    if (rounds === MOST_ROUNDS) stepBack(name, leader);
    try {
      await settleAll(outbox, leader, []);
    } catch {
      // Its own is settled: who settles next takes the others along, or their leases end.
      return reply;
    }
  }
  stepBack(name, leader);
  return reply;
}

/** One exchange for `own` and all that wait: the replies. Those that the outbox couldn't store wait once more. */
async function settleAll(outbox, leader, own) {
  const others = leader.waiting.splice(0);
  leader.since = Date.now();
  leader.bytes = 0;
  try {
    const messages = [...own, ...others.map(({ message }) => message)];
    const replies = splitLines(await outbox.exchange(joinLines(messages)));
    for (const [at, other] of others.entries()) {
      if (!other.again && isNull(replies[own.length + at])) leader.waiting.push({ ...other, again: true });
    }
    return replies;
  } catch (error) {
    leader.waiting.unshift(...others);
    throw error;
  }
}

function stepBack(name, leader) {
  if (settling.get(name) === leader) settling.delete(name);
}

function hasWork(reply) {
  return Boolean(JSON.parse(new TextDecoder().decode(reply))?.work);
}

/** A reply that says that nothing was stored. */
function isNull(reply) {
  return reply === undefined || (reply.length === 4 && reply[0] === 0x6e);
}

/** An outbox takes and answers a message on each line. */
function joinLines(messages) {
  if (messages.length === 1) return messages[0];
  const lines = new Uint8Array(messages.reduce((total, message) => total + 1 + message.length, -1));
  let at = 0;
  for (const message of messages) {
    if (at > 0) lines[at - 1] = 10;
    lines.set(message, at);
    at += message.length + 1;
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
