/**
 * What waits to be written to the master. Batches of the lower lanes let everything else pass (P8); each of the two kinds keeps its order.
 */
import type { AgentMessage } from "@needfire/shared/wire";

/** Frames that wait to be written. The spool keeps to its credit, so only a broken caller can reach it. */
const outboxFramesMax = 4_096;

export class Outbox {
  readonly #urgent: AgentMessage[] = [];
  readonly #other: AgentMessage[] = [];

  /** False when too much waits. */
  add(message: AgentMessage): boolean {
    if (this.#urgent.length + this.#other.length >= outboxFramesMax) return false;
    const last = message.kind === "bye" || (message.kind === "events" && message.body.lane !== "critical");
    (last ? this.#other : this.#urgent).push(message);
    return true;
  }

  take(): AgentMessage | undefined {
    return this.#urgent.shift() ?? this.#other.shift();
  }

  clear(): void {
    this.#urgent.length = 0;
    this.#other.length = 0;
  }
}
