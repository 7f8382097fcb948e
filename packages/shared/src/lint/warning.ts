/** What is not wrong in a reactor, and hardly meant. */
import type { Problem } from "../yaml-file.ts";

/** Every code, and what it says. */
export const warningCodes = {
  "unknown-field": "an expression that reads a field which no such event has",
  "wrong-value": "a field that is compared with a value, or asked in a way, that its type cannot give",
  "unreachable-condition": "a condition, or a part of one, that can never hold",
  "constant-condition": "a condition, or a part of one, that always holds",
  "shadowed-name": "a name that hides another one",
  "unknown-type": "an event type that nobody makes, and that is nearly a known one or under a prefix of the master's",
  "unknown-reactor": "a reactor in `inhibited_by` that is not here, and whose name is nearly that of one that is",
  "unused-var": "a variable that nothing reads",
  "never-clears": "a problem that is raised, and that nothing clears",
  "never-combines": "a value in a reactor with `combine` that is another one on each host, so that no two firings go together",
  "no-test": "a reactor that no test is for",
} as const;
export type WarningCode = keyof typeof warningCodes;

export interface Warning extends Problem {
  code: WarningCode;
}

/** A finding in one expression. `offset`: where in its source. */
export interface Finding {
  code: WarningCode;
  offset: number;
  message: string;
}
