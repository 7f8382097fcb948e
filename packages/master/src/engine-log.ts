/**
 * The engine's log lines, which the main thread writes: one process, one stream.
 */

export interface LogNotice {
  kind: "log";
  level: "debug" | "warn" | "error";
  facts: object;
  message: string;
}

export type EngineLog = Record<LogNotice["level"], (facts: object, message: string) => void>;

export function logTo(notify: (notice: LogNotice) => void): EngineLog {
  const at = (level: LogNotice["level"]) => (facts: object, message: string) => notify({ kind: "log", level, facts, message });
  // Why a reactor did not fire is asked of history, not of the log: one line an event and reactor would drown it.
  return { debug: () => {}, warn: at("warn"), error: at("error") };
}
