// What a request tells an outbox: accepts, and settles. A settle that asks for nothing isn't brought by itself: it is
// left for whoever tells that outbox something next, since each journey there costs a call and a commit.
//
// Requests share nothing but bytes, and none waits for another one: the platform doesn't allow it. So nobody hears
// the reply to what others bring; but one of those who left something lives on, and sees to all that is left.

/** How often the one who sees to what is left looks. */
const LOOK_MS = 25;
/** The same while the outbox fails, at the longest: each time it is twice as long. */
const LONGEST_LOOK_MS = 1_000;
/** How long what is left waits for somebody who goes there anyway, at least. */
const PATIENCE_MS = 15;
/** Who hasn't looked, or come back from the outbox, for so long may be gone. */
const GONE_MS = 2_000;
/** Looks after which somebody else may take over; each may be a call, and an invocation may make 50. */
const MOST_LOOKS = 20;
/** Failures in a row after which what is left is given up: its leases end. */
const MOST_FAILURES = 20;
/** Bytes of settles that wait for one outbox. */
const MOST_WAITING = 1024 * 1024;

/** The bags of outboxes for which something is left, by their names. */
const bags = new Map();

/** Settles that are left for one outbox. One has a `message`, and what became of it: `stored`, or `refused`. */
class Bag {
  #waiting = [];
  #bytes = 0;
  /** What somebody has taken along, with whom, and since when: `{ journey, since }`. */
  #underway = new Map();
  /** The one who sees to it, and when it last looked. */
  seer;

  put(settle) {
    this.#waiting.push(settle);
    this.#bytes += settle.message.length;
  }

  /** Takes along what waits and is `wanted`: the settles of a journey. */
  take(wanted = () => true) {
    const journey = this.#waiting.filter(wanted);
    this.#waiting = this.#waiting.filter((settle) => !wanted(settle));
    this.#bytes = this.#waiting.reduce((sum, { message }) => sum + message.length, 0);
    for (const settle of journey) this.#underway.set(settle, { journey, since: Date.now() });
    return journey;
  }

  /** What the outbox couldn't store goes once more. */
  arrived(journey, replies) {
    for (const [at, settle] of journey.entries()) {
      if (isStored(replies[at])) settle.stored = true;
      if (!this.#isOn(settle, journey)) continue;
      this.#underway.delete(settle);
      if (settle.again) settle.refused = !settle.stored;
      else if (!settle.stored) this.put(Object.assign(settle, { again: true }));
    }
  }

  failed(journey) {
    for (const settle of journey) {
      if (!this.#isOn(settle, journey)) continue;
      this.#underway.delete(settle);
      this.put(Object.assign(settle, { failed: true }));
    }
  }

  /** It may be on another journey by now, or given up. */
  #isOn(settle, journey) {
    return this.#underway.get(settle)?.journey === journey;
  }

  /**
   * Whether something is to be brought now. What went with somebody who may be gone waits again: an outbox ignores
   * a second settle.
   */
  isDue(now) {
    for (const { journey, since } of [...this.#underway.values()]) if (now - since > GONE_MS) this.failed(journey);
    return this.#waiting.some(({ since }) => now - since >= PATIENCE_MS);
  }

  giveUp() {
    for (const settle of [...this.#waiting, ...this.#underway.keys()]) settle.refused = true;
    this.#waiting = [];
    this.#bytes = 0;
    this.#underway.clear();
  }

  get isSeenTo() {
    return this.seer !== undefined && Date.now() - this.seer.lookedAt <= GONE_MS;
  }

  get isFull() {
    return this.#bytes >= MOST_WAITING;
  }

  get isEmpty() {
    return this.#waiting.length === 0 && this.#underway.size === 0;
  }
}

/** Tells the outbox `name` something, and brings along what is left for it: the reply to the message. */
export async function tell(env, name, message) {
  const [reply] = await tellTogether(env, name, [message.slice()]);
  return reply;
}

/** The same with several messages, which are the caller's own: the replies. */
export function tellTogether(env, name, messages) {
  // What has failed goes with the one who sees to it: it shall hold up nobody who waits for a reply.
  return bring(env, name, bags.get(name), ({ failed }) => !failed, messages);
}

/**
 * Leaves a settle that asks for nothing for the outbox `name`. `undefined` when another request sees to what is left
 * there; otherwise this one does: its promise is kept when all has arrived, and broken when its own settle has not.
 */
export function leave(env, name, message) {
  const settle = { message: message.slice(), since: Date.now() };
  let bag = bags.get(name);
  if (bag?.isFull) return bringAlone(env, name, settle.message);
  if (bag === undefined) bags.set(name, (bag = new Bag()));
  bag.put(settle);
  return bag.isSeenTo ? undefined : seeTo(env, name, bag, settle);
}

async function seeTo(env, name, bag, own) {
  const me = { lookedAt: Date.now() };
  bag.seer = me;
  let failures = 0;
  const isOver = () => (own.stored || own.refused) && (bag.isEmpty || (bag.seer !== me && bag.isSeenTo));
  for (let looks = 1; !isOver(); looks += 1) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_MS * 2 ** failures, LONGEST_LOOK_MS)));
    me.lookedAt = Date.now();
    if (looks >= MOST_LOOKS && bag.seer === me) bag.seer = undefined;
    if (!bag.isDue(me.lookedAt)) continue;
    try {
      await bring(env, name, bag);
      failures = 0;
    } catch {
      failures += 1;
      if (failures === MOST_FAILURES) bag.giveUp();
    }
  }
  if (bag.seer === me) bag.seer = undefined;
  if (bag.isEmpty && bag.seer === undefined && bags.get(name) === bag) bags.delete(name);
  if (!own.stored) throw new Error("a settle could not be stored");
}

/** One journey, with what is in the bag and `wanted`, and with `own` messages. The replies to those. */
async function bring(env, name, bag, wanted, own = []) {
  const riders = bag?.take(wanted) ?? [];
  // Last, so that an accept finds the room that settles make.
  const messages = [...riders.map(({ message }) => message), ...own];
  try {
    const replies = await env.OUTBOX.getByName(name).tell(messages);
    bag?.arrived(riders, replies.splice(0, riders.length));
    return replies;
  } catch (error) {
    bag?.failed(riders);
    throw error;
  }
}

async function bringAlone(env, name, message) {
  const [reply] = await bring(env, name, undefined, undefined, [message]);
  if (!isStored(reply)) throw new Error("a settle could not be stored");
}

/** A reply of `null` says that nothing was stored. */
function isStored(reply) {
  return reply !== undefined && !(reply.length === 4 && reply[0] === 0x6e);
}
