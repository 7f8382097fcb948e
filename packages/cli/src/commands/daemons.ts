/**
 * The one door from the CLI to the daemons: `needfire master` is the master's process and `needfire agent` the agent's, so that
 * signals and systemd reach them directly. Loaded when they are to run and not before: they bring ZeroMQ and SQLite with them.
 * Everything else in this package knows the master by its API alone.
 */
import { NeedfireError, systemCode } from "@needfire/shared/errors";

export const loadMaster = () => orMissing("@needfire/master", import("@needfire/master/main"));
export const loadAgent = () => orMissing("@needfire/agent", import("@needfire/agent/main"));

export type JoinOutcome = Awaited<ReturnType<Awaited<ReturnType<typeof loadAgent>>["joinAgent"]>>;

/** A host may hold the agent without the master, or the CLI alone. */
async function orMissing<T>(name: string, loading: Promise<T>): Promise<T> {
  try {
    return await loading;
  } catch (error) {
    if (systemCode(error) !== "ERR_MODULE_NOT_FOUND" || !String(error).includes(`'${name}'`)) throw error;
    throw new NeedfireError("NOT_FOUND", `This installation does not contain ${name}: install the package that does.`, { cause: error });
  }
}
