/**
 * Takes the values of secrets out of whatever people are shown or a disk keeps: texts that hold one, as it is or as programs write it, have
 * `***` in its place. A value that is too short to be told from other text is looked for only where it is known to have been (`maskReply`).
 * Pure: who knows the values hands them in.
 */
import { ByteSearch, patternBytesMin } from "./byte-search.ts";
import { mapTexts } from "./secret.ts";

/** What stands where a secret was. */
const masked = "***";
/** Lines of a longer secret are looked for by themselves (a diff, a log), when they are so long and no PEM header. */
const lineCharactersMin = 16;

export class Masking {
  readonly #search: ByteSearch | undefined;
  /** The longest first. */
  readonly #short: readonly string[];

  constructor(values: Iterable<string>) {
    const forms = new Set([...values].flatMap((value) => [value.trim(), ...linesOf(value)]).filter((form) => form !== ""));
    const long = [...forms].filter(isLong);
    const patterns = [...new Set(long.flatMap(writings))].filter(isLong);
    this.#search = patterns.length === 0 ? undefined : new ByteSearch(patterns.map((pattern) => Buffer.from(pattern)));
    const short = [...forms].filter((form) => !isLong(form)).flatMap((form) => [form, jsonText(form)]);
    this.#short = [...new Set(short)].toSorted((a, b) => b.length - a.length);
  }

  /** Whether there are values that only `maskReply` looks for. */
  get hasShort(): boolean {
    return this.#short.length > 0;
  }

  /** Whether there may be something to mask in bytes or a text; false is certain. */
  finds(what: Uint8Array | string): boolean {
    return this.#search !== undefined && this.#search.next(typeof what === "string" ? Buffer.from(what) : what, 0) >= 0;
  }

  /** A JSON value without secrets. A text that breaks off inside of one loses what there is of it. */
  mask<T>(value: T): T {
    return this.#search === undefined ? value : (mapTexts(value, (text) => this.#maskText(text)) as T);
  }

  /** What a command that had secrets gave back, without them, the short ones included. */
  maskReply<T>(value: T): T {
    const left = this.mask(value);
    if (!this.hasShort) return left;
    return mapTexts(left, (text) => this.#short.reduce((rest, form) => rest.replaceAll(form, maskedShort(form)), text)) as T;
  }

  #maskText(text: string): string {
    const search = this.#search!;
    const bytes = Buffer.from(text);
    let at = search.next(bytes, 0);
    if (at < 0) return text;
    let left = "";
    /** Up to here everything is written, or hidden. */
    let done = 0;
    for (; at >= 0; at = search.next(bytes, at + 1)) {
      const length = search.lengthAt(bytes, at);
      if (length === 0) continue;
      // One that overlaps with the one before goes with it.
      if (at >= done) left += bytes.toString("utf8", done, at) + masked;
      done = Math.max(done, at + length);
    }
    return done === 0 ? text : left + bytes.toString("utf8", done);
  }
}

/** No longer than what it stands for: a batch that came in one frame must still fit one. */
function maskedShort(form: string): string {
  return masked.slice(0, form.length);
}

/** What an action gave, and not whose result it is or how it ended: a secret may happen to be a part of that. */
export function maskGiven<T extends { message?: unknown; result?: unknown }>(masking: Masking, report: T): T {
  const given = (["message", "result"] as const).filter((key) => report[key] !== undefined);
  return { ...report, ...Object.fromEntries(given.map((key) => [key, masking.maskReply(report[key])])) };
}

function isLong(form: string): boolean {
  return Buffer.byteLength(form) >= patternBytesMin;
}

function linesOf(value: string): string[] {
  const lines = value.trim().split(/\r?\n/);
  if (lines.length === 1) return [];
  return lines.map((line) => line.trim()).filter((line) => line.length >= lineCharactersMin && !line.startsWith("-----"));
}

/** A text as programs write it into logs, files, addresses and command lines. */
function writings(text: string): string[] {
  const json = jsonText(text);
  const address = encodeURIComponent(text.toWellFormed());
  const xml = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const bytes = Buffer.from(text);
  const hex = bytes.toString("hex");
  return [
    text,
    text.replaceAll("\n", "\r\n"),
    json,
    jsonText(json),
    json.replaceAll(/[<>&]|[^ -~]/g, escaped),
    json.replaceAll("/", "\\/"),
    address,
    address.replaceAll("%20", "+"),
    address.replaceAll(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase()),
    xml,
    xml.replaceAll('"', "&quot;"),
    xml.replaceAll('"', "&quot;").replaceAll("'", "&#39;"),
    text.replaceAll("'", `'\\''`),
    text.replaceAll("'", `'"'"'`),
    hex,
    hex.toUpperCase(),
    ...[0, 1, 2].flatMap((before) => base64Within(bytes, before)),
  ];
}

/** What stands for the bytes in the base64 of a text that has so many (modulo 3) before them, whatever stands around them. */
function base64Within(bytes: Buffer, before: number): string[] {
  const whole = Math.floor(((before + bytes.length) * 8) / 6);
  const form = Buffer.concat([Buffer.alloc(before), bytes])
    .toString("base64")
    .slice(Math.ceil((before * 8) / 6), whole);
  return [form, form.replaceAll("+", "-").replaceAll("/", "_")];
}

function jsonText(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
