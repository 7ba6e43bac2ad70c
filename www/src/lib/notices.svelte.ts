// What has just happened, said once: read out by screen readers, shown for some seconds.

const SHOWN_MS = 6_000;

export interface Notice {
  id: number;
  text: string;
  kind: "good" | "bad";
}

class Notices {
  items = $state<Notice[]>([]);
  private next = 0;

  say(text: string, kind: Notice["kind"] = "good"): void {
    const id = this.next++;
    this.items = [...this.items, { id, text, kind }];
    setTimeout(() => this.drop(id), SHOWN_MS);
  }

  drop(id: number): void {
    this.items = this.items.filter((notice) => notice.id !== id);
  }
}

const notices = new Notices();
export default notices;

/** Runs something a person asked for; says what came of it. Gives whether it succeeded. */
export async function attempt(act: () => Promise<unknown>, done?: string): Promise<boolean> {
  try {
    await act();
    if (done) notices.say(done);
    return true;
  } catch (error) {
    notices.say(error instanceof Error ? error.message : String(error), "bad");
    return false;
  }
}
