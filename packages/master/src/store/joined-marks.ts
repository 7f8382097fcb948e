/** Marks that are written together come to one change of each execution. */
import type { Mark } from "./store.ts";

/** What the marks of one execution come to. */
export interface JoinedMarks {
  execution: string;
  isAccepted: boolean;
  sentAt: number | undefined;
  epoch: string | undefined;
}

/** Of each execution one, which says when it was sent first. */
export function joinedMarks(marks: readonly Mark[]): Iterable<JoinedMarks> {
  const found = new Map<string, JoinedMarks>();
  for (const { execution, state, at, epoch } of marks) {
    const one = found.get(execution) ?? { execution, isAccepted: false, sentAt: undefined, epoch: undefined };
    found.set(execution, one);
    if (state === "accepted") {
      one.isAccepted = true;
      continue;
    }
    one.sentAt ??= at;
    one.epoch ??= epoch;
  }
  return found.values();
}
