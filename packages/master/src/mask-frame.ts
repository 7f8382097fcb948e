/**
 * Takes secrets out of what an agent sends, before anything judges or keeps it: every event's texts, and of a result those that the action
 * made. A batch in which nothing of a secret stands, which is nearly every one, is searched as the bytes that it came as, and goes on as it is.
 */
import { executionReportSchema } from "@needfire/shared/action";
import { resultType } from "@needfire/shared/event";
import { maskGiven, type Masking } from "@needfire/shared/masking";
import { pack } from "@needfire/shared/pack";
import { doorChecker } from "@needfire/shared/schema";
import { decodeFromAgent, encodeAgain } from "@needfire/shared/wire";
import { checkWireEvent, eventData, type WireEvent } from "@needfire/shared/wire-event";

const checkReport = doorChecker(executionReportSchema);

/** A frame of events without secrets; the frame itself when it has none, or is none that will be taken. */
export function maskFrame<F extends Uint8Array>(masking: Masking, frame: F): F | Buffer {
  const mayHold =
    masking.finds(frame) || (masking.hasShort && Buffer.from(frame.buffer, frame.byteOffset, frame.length).includes(resultType));
  if (!mayHold) return frame;
  const decoded = decodeFromAgent(frame);
  if (!decoded.ok || decoded.message.kind !== "events") return frame;
  const { kind, body } = decoded.message;
  const events = body.events.map((event) => maskEvent(masking, event));
  return encodeAgain({ kind, body: { ...body, events } }, decoded.envelope);
}

/** What is no event is told of with its texts when it is turned away. Types, beacons and causes have a grammar and stay. */
function maskEvent(masking: Masking, value: unknown): unknown {
  const checked = checkWireEvent(value);
  if (!checked.ok) return masking.mask(value);
  const { event } = checked;
  const [, type, , , subject, , , data] = event;
  const isResult = type === resultType;
  if (subject !== null) event[4] = isResult ? masking.maskReply(subject) : masking.mask(subject);
  if (isResult) event[7] = pack(maskReport(masking, eventData(data)));
  else if (masking.finds(data)) event[7] = pack(masking.mask(eventData(data)));
  return event satisfies WireEvent;
}

function maskReport(masking: Masking, report: Record<string, unknown>): Record<string, unknown> {
  return checkReport(report).ok ? maskGiven(masking, report) : masking.maskReply(report);
}
