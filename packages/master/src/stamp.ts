/**
 * The times by which the journal has received its events. In the journal no time lies before one that has been judged, so that a replay in
 * the journal's order finds what was found here. What was overtaken (P8), or waited while something was due, is received when its turn comes;
 * only a clock that was set back goes back, and then one batch more has the time before, so that the replay comes as far.
 */
import { stepBackMs } from "@needfire/shared/rules/rules";

export class Stamp {
  /** By the clock by which events are received: where the journal is, or a time that was due and is judged already. */
  #until = 0;
  /** The clock was set back, and the next batch is the first by its new time. */
  #isSetBack = false;

  /** `judgedUntil`: undefined while nothing is judged. */
  apply(batches: readonly { received: number }[], { now, judgedUntil }: { now: number; judgedUntil: number | undefined }): void {
    this.#until = judgedUntil ?? this.#until;
    for (const batch of batches) {
      const until = this.#until;
      const received = Math.max(batch.received, Math.min(until, now));
      this.#isSetBack = until - received > stepBackMs && !this.#isSetBack;
      const goesBack = until - received > stepBackMs && !this.#isSetBack;
      this.#until = batch.received = goesBack ? received : Math.max(received, until);
    }
  }
}
