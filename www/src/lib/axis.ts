// The time axis of a delivery: retries come close together first and far apart later, so it is logarithmic.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Times that a reader knows. */
const TICKS = [
  100, SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE,
  30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY,
];
/** How close two labels may come, as a part of the axis. */
const LABEL_ROOM = 0.09;

export interface Axis {
  /** Where a moment is, from 0 to 1. */
  at(ms: number): number;
  ticks: { offset: number; at: number }[];
}

/** From `start` to `end`, with steps of about `unit` at the beginning, all in milliseconds. */
export function axis(start: number, end: number, unit: number): Axis {
  const span = Math.max(end - start, 1);
  const base = Math.max(unit, 1);
  const whole = Math.log1p(span / base);
  const at = (ms: number): number => Math.min(Math.max(Math.log1p(Math.max(ms - start, 0) / base) / whole, 0), 1);
  const ticks = [{ offset: 0, at: 0 }];
  for (const offset of TICKS) {
    const place = at(start + offset);
    if (offset <= span && place - ticks.at(-1)!.at >= LABEL_ROOM) ticks.push({ offset, at: place });
  }
  return { at, ticks };
}
