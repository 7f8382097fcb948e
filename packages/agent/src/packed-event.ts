/**
 * An event as spool and link carry it: packed once, when it is taken, and checked then to fit a frame, so that nothing later can get
 * stuck on it.
 */
import { type EventDraft, resultType } from "@needfire/shared/event";
import { pack } from "@needfire/shared/pack";
import { frameBytesMax } from "@needfire/shared/wire";
import { type WireEvent, wireEvent } from "@needfire/shared/wire-event";

/** What a frame may need beside an event's data: the other fields, the envelope, the batch's own. */
const frameOverheadBytesMax = 32_768;
/** The data of one event takes at most so much. */
export const dataBytesMax = frameBytesMax - frameOverheadBytesMax;
/** As `agentEventProperties` says; a longer one would be rejected. */
const subjectLengthMax = 4_096;

/** An event that has its number, and its size in a frame. */
export interface Spooled {
  event: WireEvent;
  bytes: number;
}

/** Without a number yet. P4: one that fits no frame says what was left out. A result stays a result, so that its task ends. */
export function packDraft(draft: EventDraft): WireEvent {
  const subject = draft.subject?.slice(0, subjectLengthMax);
  const event = wireEvent(0, { ...draft, ...(subject === undefined ? {} : { subject }) });
  const { length } = event[7];
  if (length <= dataBytesMax) return event;
  const message = `what was in it was left out: ${length} bytes do not fit a frame, ${dataBytesMax} do`;
  event[7] = pack(draft.type === resultType ? cutReport(draft.data, message) : { message });
  return event;
}

function cutReport(data: Record<string, unknown>, message: string): Record<string, unknown> {
  const { result: _result, message: _message, ...report } = data;
  return { ...report, message };
}
