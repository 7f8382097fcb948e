/** Values by which no two firings of different hosts are alike, so that they never go together. */
import type { Expression } from "../cel.ts";
import { eventTypesOn } from "../event-types.ts";
import { isReservedType } from "../event.ts";
import { knownTypes } from "./names.ts";
import type { On } from "./reactor-places.ts";
import type { Finding } from "./warning.ts";

/** What no two events have in common, and no two hosts. */
const unique: readonly string[][] = [["event"], ["event", "id"], ["event", "position"], ["agent"], ["agent", "id"]];

/** Only what reaches the value as it is: of what is asked of it, the answer may be the same for all. */
export function lintCombining({ accesses }: Expression, on: On): Finding[] {
  return accesses
    .filter(({ path, intact }) => intact && isUnique(path, on))
    .map(({ path, offset }) => ({
      code: "never-combines",
      offset,
      message: `${path.join(".")} is another one for each host: with this no two firings do the same, and none are combined`,
    }));
}

function isUnique(path: readonly string[], on: On): boolean {
  if (unique.some((each) => each.join() === path.join())) return true;
  // What the master tells of a host is told by the master.
  return path.join() === "event,agent" && knownTypes(on) !== undefined && !eventTypesOn(on).some(isReservedType);
}
