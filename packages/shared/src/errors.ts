/**
 * The one table of error codes. What is thrown anywhere in Needfire carries a code from here and, where there was one, its cause;
 * an outcome that is expected is a value, not an error.
 */

export const errorCodes = {
  CONFIG_INVALID: "a configuration file does not fit its schema",
  STATE_LOCKED: "another process uses this state directory",
  STATE_UNSAFE: "a key file can be read by others or is damaged",
  JOIN_STRING_INVALID: "a join string cannot be read",
  FRAME_INVALID: "a frame from the network does not fit the wire format",
  FRAME_TOO_LARGE: "a message is larger than one frame may be",
  QUEUE_FULL: "a bounded queue is full",
  PEER_GONE: "the peer is not connected",
  LINK_CLOSED: "the link was closed",
  EXPRESSION_INVALID: "a CEL expression cannot be compiled or evaluated",
  NOT_FOUND: "there is no such thing",
  CONFLICT: "the request does not fit the present state",
  NOT_YOURS: "this is for somebody else to decide",
  BAD_REQUEST: "the request does not fit its schema",
  DISK_FULL: "there is no room on the disk",
  BLOB_MISMATCH: "content does not have the digest it was announced with",
  PATH_REFUSED: "a path may not be used for this",
  MASTER_UNREACHABLE: "the master's API cannot be reached",
  RUNTIME_TOO_OLD: "Node 24 or newer is needed",
  ADDRESS_IN_USE: "the address cannot be bound",
  THREAD_DIED: "a storage thread ended",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** An error with a code from {@link errorCodes}. `message` is a full sentence for people; `code` is for programs. */
export class NeedfireError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "NeedfireError";
    this.code = code;
  }
}

/** The text of anything that was thrown, with its causes, for a log line or an event. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} (${errorText(error.cause)})`;
}

/** Node's `code` of an error (`ENOENT`, ...), or undefined. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
