/** The thread that writes and judges: see `engine.ts`. */
import { Engine, type EngineNotice, type EngineOptions } from "./engine.ts";

export function open(options: EngineOptions, notify: (notice: EngineNotice) => void): Engine {
  return new Engine(options, notify);
}
