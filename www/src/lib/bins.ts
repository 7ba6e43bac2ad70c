// The API doesn't list request bins: who knows a bin's id may look at it. So this browser remembers its own.

const KEY = "varde.bins";

export interface KnownBin {
  id: string;
  name: string;
  made: number;
}

export function knownBins(): KnownBin[] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]") as KnownBin[];
  } catch {
    return [];
  }
}

export function rememberBin(id: string, name: string): void {
  const others = knownBins().filter((bin) => bin.id !== id);
  localStorage.setItem(KEY, JSON.stringify([{ id, name, made: Date.now() }, ...others]));
}

export function forgetBin(id: string): void {
  localStorage.setItem(KEY, JSON.stringify(knownBins().filter((bin) => bin.id !== id)));
}
