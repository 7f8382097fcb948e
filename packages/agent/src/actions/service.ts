/**
 * `service.start` and its kin: finds out who runs the host's services, and what the service is called there. What the init says is in
 * service-systemd.ts and service-scripts.ts.
 */
import { existsSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import type { ActionArgs } from "@needfire/shared/action";
import { durationMs } from "@needfire/shared/duration";
import { errorText } from "@needfire/shared/errors";
import { findInit, unitName } from "../init.ts";
import { type Action, type ActionContext, failed } from "./action.ts";
import { type Host, thisHost } from "./on-host.ts";
import type { ServiceEnding, Verb } from "./service-wish.ts";

/** `host`: another than this one, for tests. */
export function serviceAction(verb: Verb, host: Host = thisHost): Action<"service.start"> {
  return {
    scope: ({ name }) => ({ topic: "service", subject: calledHere(name, host.root) }),
    run: (args, context) => run(verb, args, { host, context }),
  };
}

async function run(
  verb: Verb,
  { name, timeout }: ActionArgs<"service.start">,
  { host, context }: { host: Host; context: ActionContext },
): Promise<ServiceEnding> {
  try {
    const init = findInit(host.root);
    const wish = { verb, unit: calledHere(name, host.root), timeoutMs: durationMs(timeout), host, context };
    // Each is loaded when it is needed: a host has one init.
    if (init === "systemd") return await (await import("./service-systemd.ts")).askSystemd(wish);
    return await (await import("./service-scripts.ts")).askScripts(wish, init);
  } catch (error) {
    return failed(errorText(error));
  }
}

const unitDirectories = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/** Its name to the init, and so to beacons: the unit's full name, not that of an alias (sshd.service is ssh.service on some hosts). */
function calledHere(name: string, root: string): string {
  if (!existsSync(`${root}/run/systemd/system`)) return name.replace(/\.service$/, "");
  const unit = unitName(name);
  for (const directory of unitDirectories) {
    try {
      const target = basename(readlinkSync(join(root, directory, unit)));
      // A mask is a link to /dev/null; an instance may be a link to its template.
      return target === "null" || target.includes("@.") ? unit : target;
    } catch {
      continue; // no link, or nothing of that name here
    }
  }
  return unit;
}
