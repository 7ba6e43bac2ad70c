import { getContext, setContext } from "svelte";

import { Problem, type Mistake } from "../api";

const KEY = Symbol("mistakes");

/** The mistakes that the API, or the core before it, has found in a form. */
export class Mistakes {
  list = $state<Mistake[]>([]);
  /** What was said of the whole. */
  message = $state("");

  /** What is wrong exactly there. */
  at(pointer: string): string | undefined {
    const found = this.list.filter((mistake) => mistake.pointer === pointer);
    return found.length > 0 ? found.map(({ message }) => message).join("; ") : undefined;
  }

  /** What is wrong there or below. */
  within(pointer: string): string | undefined {
    const found = this.list.filter((mistake) => `${mistake.pointer}/`.startsWith(`${pointer}/`));
    return found.length > 0 ? found.map(({ message }) => message).join("; ") : undefined;
  }

  clear(): void {
    this.list = [];
    this.message = "";
  }

  take(error: unknown): void {
    this.list = error instanceof Problem ? error.errors : [];
    this.message = error instanceof Error ? error.message : String(error);
  }
}

/** Makes the mistakes of a form known to the fields inside it. */
export function provideMistakes(): Mistakes {
  return setContext(KEY, new Mistakes());
}

export function nearbyMistakes(): Mistakes {
  return getContext<Mistakes | undefined>(KEY) ?? new Mistakes();
}
