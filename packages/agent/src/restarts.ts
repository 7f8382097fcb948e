/**
 * The restart of the host that a command has asked for, as a note on the disk: a command that restarts the host ends in another life of the
 * agent than it began in. The note is there before the init is asked (P3), and goes when the command's result is on the disk.
 */
import { readFileSync, rmSync } from "node:fs";
import { executionIdPattern } from "@needfire/shared/ids";
import { severities } from "@needfire/shared/event";
import { checker } from "@needfire/shared/schema";
import { bootId, ProcessTable } from "./beacons/process/process-table.ts";
import { writeDurably } from "./durable-file.ts";

const noteSchema = {
  type: "object",
  properties: {
    execution: { type: "string", pattern: executionIdPattern },
    priority: { enum: severities },
    /** The id of the boot that is to end. */
    boot: { type: "string", minLength: 1, maxLength: 100 },
    /** Since when, and until when, it is waited for; ms since the epoch. */
    asked: { type: "number" },
    until: { type: "number" },
  },
  required: ["execution", "priority", "boot", "asked", "until"],
  additionalProperties: false,
} as const;
const check = checker(noteSchema);
export type RestartNote = Extract<ReturnType<typeof check>, { ok: true }>["value"];

export class Restarts {
  readonly #file: string;
  readonly #boot: () => string;

  /** `boot`: the id of the boot that it is now. */
  constructor(file: string, boot: () => string = hostBootId) {
    this.#file = file;
    this.#boot = boot;
  }

  get boot(): string {
    return this.#boot();
  }

  /** Undefined: none is under way. One that cannot be read is none: its command is interrupted. */
  get note(): RestartNote | undefined {
    try {
      const checked = check(JSON.parse(readFileSync(this.#file, "utf8")));
      return checked.ok ? checked.value : undefined;
    } catch {
      return undefined;
    }
  }

  async keep(note: RestartNote): Promise<void> {
    await writeDurably(this.#file, Buffer.from(JSON.stringify(note)), { mode: 0o600 });
  }

  forget(): void {
    rmSync(this.#file, { force: true });
  }
}

/**
 * Differs after each start of the host, which may be a container: those share the kernel's boot, and its id, with their machine. The first
 * process of a container is another one after each start (0044). Where it may not be seen (hidepid) the kernel's id has to do.
 */
export function hostBootId(): string {
  const first = new ProcessTable().one(1);
  return first === undefined ? bootId() : `${bootId()}.${first.start}`;
}
