/**
 * `sysctl.set`: a parameter of the kernel, through /proc/sys, and with `persist` in one file of the agent's own that the host reads at its
 * start. What other files say is left as it is; one that comes later than ours, and says otherwise, is told.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ActionArgs, ActionResult } from "@needfire/shared/action";
import { errorText, systemCode } from "@needfire/shared/errors";
import { writeDurably } from "../durable-file.ts";
import { type Action, type ActionContext, type Ending, failed, would } from "./action.ts";
import { thisHost } from "./on-host.ts";

const directory = "/etc/sysctl.d";
const ownFile = "90-needfire.conf";

export const action: Action<"sysctl.set"> = { run, scope: ({ key }) => ({ topic: "sysctl", subject: dotted(key) }) };

/** `host`: another than this one, for tests. */
export async function run(
  { key, value, persist }: ActionArgs<"sysctl.set">,
  { dryRun }: Pick<ActionContext, "dryRun">,
  host = thisHost,
): Promise<Ending<ActionResult<"sysctl.set">>> {
  const name = dotted(key);
  const file = join(host.root, "/proc/sys", slashed(key));
  try {
    const before = read(file);
    const sets = before === undefined || words(before) !== words(value);
    const lines = persist ? withLine(readIfThere(join(host.root, directory, ownFile)), name, value) : undefined;
    const doing = [sets ? `set ${name} to ${value}` : "", lines === undefined ? "" : `write it into ${directory}/${ownFile}`];
    const todo = doing.filter((text) => text !== "").join(", and ");
    if (dryRun && todo !== "") return would(todo);
    if (sets) writeFileSync(file, `${value}\n`, { flag: "r+" });
    if (lines !== undefined) await keep(host.root, lines);
    const after = read(file) ?? "";
    const result = { key: name, before: before ?? "", after, persisted: persist };
    const notes = [
      before === undefined || words(after) === words(value) ? undefined : `the kernel made ${after} of it`,
      persist ? contradiction(host.root, { name, value }) : undefined,
    ].filter((note) => note !== undefined);
    return { outcome: "succeeded", changed: todo !== "", ...(notes.length > 0 ? { message: notes.join("; ") } : {}), result };
  } catch (error) {
    return failed(explain(name, value, error));
  }
}

/** The separator that comes first is that of the parts; the other stands for itself (sysctl.d(5)). */
function slashed(key: string): string {
  const first = /[./]/.exec(key)?.[0];
  return first === "/" ? key : swap(key);
}

function dotted(key: string): string {
  return swap(slashed(key));
}

function swap(key: string): string {
  return key.replaceAll(/[./]/g, (separator) => (separator === "." ? "/" : "."));
}

function words(value: string): string {
  return value.trim().split(/\s+/).join(" ");
}

/** Undefined: it can only be written. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    const code = systemCode(error);
    if (code === "EACCES" || code === "EPERM" || code === "EIO") return undefined;
    throw error;
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "";
    throw error;
  }
}

const heading = "# Written by Needfire (sysctl.set). Lines of other parameters stay as they are.\n";

/** The file's text with this line; undefined: it has it already. */
function withLine(text: string, name: string, value: string): string | undefined {
  const line = `${name} = ${words(value)}`;
  const lines = text.split("\n").filter((each) => each !== "");
  const mine = lines.filter((each) => setBy(each)?.name === name);
  if (mine.length === 1 && mine[0] === line) return undefined;
  const others = lines.filter((each) => !mine.includes(each));
  return `${text === "" ? heading : ""}${[...others, line].join("\n")}\n`;
}

async function keep(root: string, text: string): Promise<void> {
  mkdirSync(join(root, directory), { recursive: true });
  await writeDurably(join(root, directory, ownFile), Buffer.from(text), { mode: 0o644 });
}

function setBy(line: string): { name: string; value: string } | undefined {
  const [, name, value] = /^\s*-?\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
  return name === undefined || value === undefined ? undefined : { name: dotted(name), value };
}

/** A file that is read after ours and sets it to something else: at the host's next start that wins. */
function contradiction(root: string, { name, value }: { name: string; value: string }): string | undefined {
  const later = [directory, "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"].flatMap((folder) =>
    namesIn(join(root, folder)).flatMap((each) => (each.endsWith(".conf") && each > ownFile ? [join(folder, each)] : [])),
  );
  const found = [...later, "/etc/sysctl.conf"].find((file) =>
    readLeniently(join(root, file))
      .split("\n")
      .some((line) => {
        const set = setBy(line);
        return set?.name === name && words(set.value) !== words(value);
      }),
  );
  return found === undefined ? undefined : `${found} says otherwise, and wins at the next start of the host`;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // none of that place
  }
}

function readLeniently(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // not there, or not for us: it is only looked at for a hint
  }
}

function explain(name: string, value: string, error: unknown): string {
  switch (systemCode(error)) {
    case "ENOENT":
      return `there is no parameter ${name} on this host`;
    case "EISDIR":
      return `${name} is a group of parameters`;
    case "EINVAL":
    case "ERANGE":
      return `the kernel does not take ${JSON.stringify(value)} for ${name}`;
    case "EPERM":
    case "EACCES":
    case "EROFS":
      return `${name} cannot be changed here (${systemCode(error)})`;
    default:
      return `${name}: ${errorText(error)}`;
  }
}
