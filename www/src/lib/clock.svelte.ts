// One clock for all that says "5 s ago".

class Clock {
  now = $state(Date.now());
  constructor() {
    setInterval(() => (this.now = Date.now()), 1_000);
  }
}

export const clock = new Clock();

/** Asks again and again while the component lives and the tab is seen; never twice at once. */
export function poll(ask: () => Promise<unknown>, everyMs: number): () => void {
  let timer: ReturnType<typeof setTimeout>;
  let stopped = false;
  const turn = async (): Promise<void> => {
    if (!document.hidden) await ask().catch(() => undefined);
    if (!stopped) timer = setTimeout(() => void turn(), everyMs);
  };
  timer = setTimeout(() => void turn(), everyMs);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
