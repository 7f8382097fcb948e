/**
 * Every door through which bytes or values of the other side come in.
 */
import { decodeFromAgent, decodeFromMaster, encode, glance } from "@needfire/shared/wire";
import { checkWireEvent, eventData } from "@needfire/shared/wire-event";
import { fromAgent, fromMaster } from "@needfire/shared/wire-fixture";

/** What a door said: taken as this kind, or refused for this reason. */
export type Verdict = { taken: string } | { refused: string };

/** `judge` must not throw, whatever it is given. `kinds`: all that it may take. */
export interface Door {
  name: string;
  kinds: string[];
  judge(frame: Buffer): Verdict;
}

const envelope = { session: "c2VjcmV0LXNlc3Npb24", counter: 42 };

/** Honest frames of every kind, of both directions. */
export function examples(): Buffer[] {
  return [...fromAgent, ...fromMaster].map((message) => encode(message, envelope));
}

export const doors: Door[] = [
  {
    name: "from agent",
    kinds: fromAgent.map(({ kind }) => kind),
    judge(frame) {
      const decoded = decodeFromAgent(frame);
      const seen = glance(frame);
      if (!decoded.ok) return { refused: decoded.reason };
      // The gate acts on what it sees at a glance.
      if (seen.ok && (seen.kind !== decoded.message.kind || seen.envelope.counter !== decoded.envelope.counter))
        throw new Error(`a ${decoded.message.kind} looks like a ${seen.kind} at a glance`);
      const { kind, body } = decoded.message;
      // Each event of a batch has a door of its own.
      if (kind === "events") for (const each of body.events) judgeEvent(each);
      mustBeTakenAgain(decoded, decodeFromAgent(encode(decoded.message, decoded.envelope)));
      return { taken: kind };
    },
  },
  {
    name: "from master",
    kinds: fromMaster.map(({ kind }) => kind),
    judge(frame) {
      const decoded = decodeFromMaster(frame);
      if (!decoded.ok) return { refused: decoded.reason };
      mustBeTakenAgain(decoded, decodeFromMaster(encode(decoded.message, decoded.envelope)));
      return { taken: decoded.message.kind };
    },
  },
];

function judgeEvent(value: unknown): void {
  const checked = checkWireEvent(value);
  if (!checked.ok) return;
  const data = eventData(checked.event[7]);
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new Error("an event was taken whose data is no map");
  // Whatever is taken can be shown.
  JSON.stringify(data);
}

/** What was taken fits the schema: its own encoding is taken as the same kind. */
function mustBeTakenAgain(
  first: { message: { kind: string } },
  again: { ok: true; message: { kind: string } } | { ok: false; reason: string },
): void {
  if (!again.ok) throw new Error(`a ${first.message.kind} was taken, and refused when it was encoded again: ${again.reason}`);
  if (again.message.kind !== first.message.kind) throw new Error(`a ${first.message.kind} became a ${again.message.kind}`);
}
