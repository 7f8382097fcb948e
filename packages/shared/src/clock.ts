/**
 * Time as an argument. Loops and edges are handed a `Clock`; pure code gets `now` as a number.
 */

/** Milliseconds since the Unix epoch, with a fraction (microseconds where the platform gives them). */
export interface Clock {
  now(): number;
}

/** Further than this from the system's clock, the fine clock is set anew (somebody stepped the time). */
const driftMsMax = 2;

/** The system's clock, with the resolution of the monotonic one, so that hops of under a millisecond can be told apart. */
export function systemClock(): Clock {
  let base = performance.timeOrigin;
  return {
    now() {
      const wall = Date.now();
      const fine = base + performance.now();
      if (Math.abs(fine - wall) <= driftMsMax) return fine;
      base = wall - performance.now();
      return wall;
    },
  };
}

/** Time that nobody can step, for how long something lasts. Its zero is the start of the process. */
export function monotonicClock(): Clock {
  return { now: () => performance.now() };
}

/** RFC 3339 in UTC with microseconds: the form in which times leave the program. */
export function isoTime(ms: number): string {
  const whole = Math.floor(ms);
  const micros = Math.min(999, Math.max(0, Math.round((ms - whole) * 1000)));
  return `${new Date(whole).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
}
