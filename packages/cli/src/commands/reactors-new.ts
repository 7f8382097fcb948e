import type { Command } from "commander";
import type { Session } from "../session.ts";
export function registerNew(_: Command, __: Session): void {}
