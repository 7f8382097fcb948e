/**
 * Asks the kernel to audit what a file beacon watches, when its definition says `audit: true`, and takes that back when the beacon stops.
 * The rules bear a key of the beacon's own, so that others' rules are left alone, and those of a life that was killed are found again.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { errorText } from "@needfire/shared/errors";

const run = promisify(execFile);
/** Every rule costs every system call on the host a little. */
const rulesMax = 100;
const ruleMsMax = 5_000;

export interface AuditRules {
  /** Why not all is audited; undefined: all is. */
  missing: string | undefined;
  remove(): Promise<void>;
}

/** `paths`: files, and directories with all below them. */
export async function addAuditRules(name: string, paths: readonly string[], auditctl = "auditctl"): Promise<AuditRules> {
  const key = `needfire-${name}`;
  const wanted = paths.filter((path) => path !== "/").slice(0, rulesMax);
  const missing = new Set<string>();
  if (paths.includes("/")) missing.add("auditing / is left out");
  if (paths.length > rulesMax) missing.add(`more than ${rulesMax} audit rules would be needed; the rest is not audited`);
  const added: string[] = [];
  for (const path of wanted) {
    try {
      await run(auditctl, ["-w", path, "-p", "wa", "-k", key], { timeout: ruleMsMax });
      added.push(path);
    } catch (error) {
      if (/rule exists/i.test(String((error as { stderr?: unknown }).stderr ?? ""))) added.push(path);
      else missing.add(`${path} is not audited: ${reasonOf(error)}`);
    }
  }
  return {
    missing: missing.size === 0 ? undefined : [...missing].slice(0, 5).join("; "),
    remove: async () => {
      for (const path of added) await run(auditctl, ["-W", path, "-p", "wa", "-k", key], { timeout: ruleMsMax }).catch(() => undefined);
    },
  };
}

function reasonOf(error: unknown): string {
  const { stderr, code } = error as { stderr?: unknown; code?: unknown };
  if (code === "ENOENT") return "there is no auditctl here (package auditd or audit)";
  const said = typeof stderr === "string" ? stderr.trim().split("\n")[0] : undefined;
  return said === undefined || said === "" ? errorText(error) : said;
}
