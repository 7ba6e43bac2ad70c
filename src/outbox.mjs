// What a request tells an outbox: accepts, and settles. A settle that asks for nothing isn't brought by itself: it is
// left for whoever goes to that outbox next, since each journey there costs a call and a commit.
//
// Requests share nothing but bytes, and none waits for another one: the platform doesn't allow it. So nobody hears
// the reply to what others bring; but while one of those who left something lives, it sees to all that is left.

/** How often the one who sees to what is left looks. */
const LOOK_MS = 10;
/** How long what is left waits for somebody who goes there anyway, at least. */
const PATIENCE_MS = 5;
/** Who hasn't looked, or come back from the outbox, for so long may be gone. */
const GONE_MS = 2_000;
/** Looks after which somebody else may take over; each may be a call, and an invocation may make 50. */
const MOST_LOOKS = 20;
/** Bytes of settles that wait for one outbox. */
const MOST_WAITING = 1024 * 1024;

/** What is left for each outbox, by its name. */
const bags = new Map();

/** Settles that are left for one outbox: `{ message, since, again, stored }`. */
class Bag {
  #waiting = [];
  #bytes = 0;
  /** What somebody has taken along, and since when. */
  #underway = new Map();
  /** When the one who sees to it last looked. */
  #lookedAt = 0;

  put(settle) {
    this.#waiting.push(settle);
    this.#bytes += settle.message.length;
  }

  empty() {
    const all = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    return all;
  }

  /** Takes what waits along to the outbox. */
  take() {
    const taken = this.empty();
    for (const settle of taken) this.#underway.set(settle, Date.now());
    return taken;
  }

  /** What was taken has arrived. What the outbox couldn't store goes once more. */
  arrived(settles, replies) {
    for (const [at, settle] of settles.entries()) {
      if (!this.#underway.delete(settle)) continue;
      if (isStored(replies[at])) settle.stored = true;
      else if (!settle.again) this.put(Object.assign(settle, { again: true }));
    }
  }

  putBack(settles) {
    for (const settle of settles) if (this.#underway.delete(settle)) this.put(settle);
  }

  /**
   * Whether something is to be brought now. What went with somebody who may be gone waits again: an outbox ignores
   * a second settle.
   */
  look() {
    const now = (this.#lookedAt = Date.now());
    this.putBack([...this.#underway.keys()].filter((settle) => now - this.#underway.get(settle) > GONE_MS));
    return this.#waiting.some(({ since }) => now - since >= PATIENCE_MS);
  }

  abandon() {
    this.#lookedAt = 0;
  }

  get isSeenTo() {
    return Date.now() - this.#lookedAt <= GONE_MS;
  }

  get isFull() {
    return this.#bytes >= MOST_WAITING;
  }

  get isEmpty() {
    return this.#waiting.length === 0 && this.#underway.size === 0;
  }
}

/** Tells the outbox `name` something, and brings along what is left for it: the reply to the message. */
export function tell(env, name, message) {
  return bring(env.OUTBOX.getByName(name), bags.get(name), message.slice());
}

/**
 * Leaves a settle that asks for nothing for the outbox `name`. `undefined` when another request sees to what is left
 * there; otherwise this one does: its promise is kept when all has arrived, and broken when its own settle has not.
 */
export function leave(env, name, message) {
  const settle = { message: message.slice(), since: Date.now() };
  const bag = bags.get(name);
  if (!bag?.isSeenTo || bag.isFull) return seeTo(env.OUTBOX.getByName(name), name, settle);
  bag.put(settle);
  return undefined;
}

async function seeTo(outbox, name, own) {
  const bag = new Bag();
  // What another one has left behind, too.
  for (const settle of bags.get(name)?.empty() ?? []) bag.put(settle);
  bag.put(own);
  bag.look();
  bags.set(name, bag);
  for (let looks = 1; !bag.isEmpty; looks += 1) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (looks === MOST_LOOKS) stepBack(name, bag);
    if (!bag.look()) continue;
    try {
      await bring(outbox, bag);
    } catch (error) {
      // Who goes there next takes it along.
      bag.abandon();
      if (own.stored) return;
      throw error;
    }
  }
  stepBack(name, bag);
  if (!own.stored) throw new Error("it could not be stored");
}

function stepBack(name, bag) {
  if (bags.get(name) === bag) bags.delete(name);
}

/** One journey: with `own`, where there is one, and with all that waits. The reply to `own`. */
async function bring(outbox, bag, own) {
  const others = bag?.take() ?? [];
  const messages = others.map(({ message }) => message);
  if (own !== undefined) messages.unshift(own);
  try {
    const replies = await outbox.exchange(messages);
    const reply = own !== undefined ? replies.shift() : undefined;
    bag?.arrived(others, replies);
    return reply;
  } catch (error) {
    bag?.putBack(others);
    throw error;
  }
}

/** A reply of `null` says that nothing was stored. */
function isStored(reply) {
  return reply !== undefined && !(reply.length === 4 && reply[0] === 0x6e);
}
