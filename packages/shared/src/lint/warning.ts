/** What is not wrong in a reactor, and hardly meant. */
import type { Problem } from "../yaml-file.ts";

/** Every code, and what it says. */
export const warningCodes = {
  "unknown-field": "an expression reads a field that no such event has",
  "wrong-value": "a field is compared with a value, or asked in a way, that its type cannot give",
  "unreachable-condition": "a condition, or a part of it, can never hold",
  "constant-condition": "a condition, or a part of it, always holds",
  "shadowed-name": "a name hides another one",
  "unknown-type": "an event type that nobody makes, and nearly a known one",
  "unused-var": "a variable that nothing reads",
  "never-clears": "a problem that is raised, and that nothing clears",
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
