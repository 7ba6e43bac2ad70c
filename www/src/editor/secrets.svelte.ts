import type { Page, Secret } from "../api";
import { session } from "../lib/session.svelte";

/** The names of the secrets, which all actions choose from. */
class SecretNames {
  list = $state.raw<string[]>([]);

  async load(): Promise<void> {
    const names: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page: Page<Secret> = await session.api.get("/v1/secrets", { limit: 100, cursor });
      names.push(...page.items.map(({ name }) => name));
      cursor = page.next_cursor;
    }
    this.list = names;
  }
}

export const secretNames = new SecretNames();
