/** What a rollout says of itself: each step of its life is an event. */
import type { Severity } from "../event.ts";
import { hideMarks } from "../secret.ts";
import type { MasterEventDraft } from "../task/types.ts";
import type { Rollout } from "./types.ts";

const severities: Readonly<Record<string, Severity>> = { "rollout.stopped": "high" };

export function tellRollout(rollout: Rollout, type: string, data: Record<string, unknown>): MasterEventDraft {
  const { id, reactor, reactorVersion, subject } = rollout;
  const about = { rollout: id, reactor, reactor_version: reactorVersion, ...data };
  return { type, subject: hideMarks(subject), severity: severities[type] ?? "low", cause: id, data: hideMarks(about) };
}
