/**
 * Reads the kernel's audit records, as auditd writes them to its log: who changed which path, and from which login session. Pure: lines in,
 * changes out. What is not a successful change of a path (a look, a failure, a record of another kind) is passed over.
 *
 * One call of a process is several records with one serial number: SYSCALL says who, CWD from where, and a PATH each what. They come in this
 * order, mixed with those of other calls. A value that holds anything odd stands there in hexadecimal, so no name can forge a record.
 */
import { resolve } from "node:path";
import { modification, type Modification } from "./audit-syscalls.ts";

/** A change of one path by one process. */
export interface AuditedChange {
  /** Ms since the epoch. */
  time: number;
  uid: number;
  /** Who had logged in, whoever he is now. Undefined: nobody, as with a daemon. */
  loginUid: number | undefined;
  /** Given at login, and to all that comes of it. Undefined: none. */
  session: number | undefined;
  pid: number;
  executable: string | undefined;
  /** Undefined: the record names it in a way that only the process itself could follow. */
  path: string | undefined;
  /** Device and inode number, as in a stamp (file-state.ts). */
  file: string | undefined;
}

type Call = Omit<AuditedChange, "path" | "file"> & { modification: Modification; fields: Fields; cwd: string | undefined };
type Fields = ReadonlyMap<string, string>;

/** Calls whose records are not complete, as far as can be known. */
const callsMax = 1_000;
const pathLengthMax = 4_096;
/** -1, which stands for none. */
const unset = 4_294_967_295;
const currentDirectory = /^f*ffffff9c$/;

const head = /^(?:node=\S+ )?type=(SYSCALL|CWD|PATH) msg=audit\((\d{1,12})\.(\d{3}):(\d{1,20})\): /;
const field = /([A-Za-z_][\w-]*)=("[^"]*"|\(null\)|[^\s"]*)/g;

export class AuditRecords {
  readonly #calls = new Map<string, Call>();

  /** One line of the log. */
  take(line: string): AuditedChange | undefined {
    const [begin, type, seconds, ms, serial] = head.exec(line) ?? [];
    if (begin === undefined) return undefined;
    // What auditd adds in its own words comes behind this character.
    const [raw = "", added = ""] = line.slice(begin.length).split("\u001d", 2);
    const fields = fieldsOf(raw);
    const id = `${seconds}.${ms}:${serial}`;
    if (type === "SYSCALL") return this.#begin(id, Number(seconds) * 1_000 + Number(ms), fields, fieldsOf(added));
    const call = this.#calls.get(id);
    if (call === undefined) return undefined;
    if (type === "CWD") call.cwd = text(fields.get("cwd"));
    else return changeOf(call, fields);
    return undefined;
  }

  #begin(id: string, time: number, fields: Fields, added: Fields): undefined {
    if (fields.get("success") !== "yes") return;
    const modifies = modification({ arch: fields.get("arch"), number: fields.get("syscall"), name: added.get("SYSCALL") });
    if (modifies === undefined || !mayChange(modifies, fields)) return;
    const [oldest] = this.#calls.keys();
    if (oldest !== undefined && this.#calls.size >= callsMax) this.#calls.delete(oldest);
    this.#calls.set(id, {
      ...{ time, fields, modification: modifies, cwd: undefined },
      uid: Number(fields.get("uid")),
      loginUid: numberOf(fields.get("auid")),
      session: numberOf(fields.get("ses")),
      pid: Number(fields.get("pid")),
      executable: text(fields.get("exe")),
    });
  }
}

/** Opening a file only to read it changes nothing. */
function mayChange({ flags }: Modification, fields: Fields): boolean {
  const writesCreatesOrTruncates = 0o3 | 0o100 | 0o1000;
  return flags === undefined || (Number.parseInt(fields.get(flags) ?? "", 16) & writesCreatesOrTruncates) !== 0;
}

function changeOf(call: Call, fields: Fields): AuditedChange | undefined {
  const kind = fields.get("nametype");
  if (kind !== "NORMAL" && kind !== "CREATE" && kind !== "DELETE") return undefined;
  const { time, uid, loginUid, session, pid, executable } = call;
  const path = absolute(text(fields.get("name")), call);
  const file = fileOf(fields.get("dev"), fields.get("inode"));
  return { ...{ time, uid, loginUid, session, pid, executable }, path, file };
}

function absolute(name: string | undefined, { cwd, fields, modification: { directories } }: Call): string | undefined {
  if (name === undefined) return undefined;
  if (name.startsWith("/")) return resolve(name);
  // Seen from a directory that only the process had open.
  if (cwd === undefined || !directories.every((argument) => currentDirectory.test(fields.get(argument) ?? ""))) return undefined;
  return resolve(cwd, name);
}

/** `fe:00` and the inode number, the way `stat` has the device. */
function fileOf(device: string | undefined, inode: string | undefined): string | undefined {
  const [, majorText, minorText] = /^([0-9a-f]{1,8}):([0-9a-f]{1,8})$/.exec(device ?? "") ?? [];
  if (majorText === undefined || inode === undefined) return undefined;
  const major = BigInt(`0x${majorText}`);
  const minor = BigInt(`0x${minorText}`);
  const number = ((major & ~0xfffn) << 32n) | ((major & 0xfffn) << 8n) | ((minor & ~0xffn) << 12n) | (minor & 0xffn);
  return `${number}:${inode}`;
}

function fieldsOf(records: string): Fields {
  return new Map([...records.matchAll(field)].map(([, name = "", value = ""]) => [name, value]));
}

/** In quotes as it is, else in hexadecimal. */
function text(value: string | undefined): string | undefined {
  if (value === undefined || value === "(null)") return undefined;
  if (value.startsWith('"')) return value.slice(1, -1).slice(0, pathLengthMax);
  if (!/^(?:[0-9A-Fa-f]{2})+$/.test(value)) return undefined;
  return Buffer.from(value, "hex").toString("utf8").slice(0, pathLengthMax);
}

function numberOf(value: string | undefined): number | undefined {
  const number = Number(value);
  return value === undefined || Number.isNaN(number) || number === unset || number < 0 ? undefined : number;
}
