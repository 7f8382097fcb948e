/** A kind of fault: something that goes wrong in a house for a while, and is over when `strike` resolves. */
import type { Chance } from "../../chance.ts";
import type { House } from "../house.ts";
import type { Means } from "../means.ts";

export interface Blow {
  house: House;
  chance: Chance;
  /** `master` or an agent. */
  target: string;
  lengthMs: number;
  signal: AbortSignal;
}

export interface Fault {
  /** What can be hit. */
  targets: "master" | "agents" | "any" | "all";
  /** How long a pause may last where that matters, beyond the pace of the round. */
  lengthMsMax?: number;
  /** Why it cannot be had on this machine. */
  unavailable?(means: Means): string | undefined;
  /** Resolves with what happened, when it is over. */
  strike(blow: Blow): Promise<string>;
}
