/** Regular expressions in definitions: JavaScript's, checked when a definition is loaded. */
import type { Contradiction } from "./spec.ts";

export function expressionContradiction(text: string | undefined, path: Contradiction["path"]): Contradiction | undefined {
  if (text === undefined) return undefined;
  try {
    void new RegExp(text);
    return undefined;
  } catch (error) {
    return { path, message: error instanceof Error ? error.message : String(error) };
  }
}
