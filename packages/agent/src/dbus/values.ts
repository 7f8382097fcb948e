/**
 * D-Bus values: between bytes and JavaScript, as a signature says (https://dbus.freedesktop.org/doc/dbus-specification.html#type-system).
 * Pure. What is read may be anything: every length is held against what is there, and nesting has an end.
 *
 * Integers up to 32 bits and doubles are numbers, 64-bit integers bigints, strings, object paths and signatures strings, arrays arrays
 * (of bytes: Uint8Array), structs arrays, dictionaries Maps; a variant is its value alone when read.
 */

/** As the specification has it: 32 of arrays and 32 of structs; variants count here, too. */
const depthMax = 64;

export class DbusFormatError extends Error {}

interface Fixed {
  size: number;
  read(view: DataView, at: number, little: boolean): unknown;
  write(view: DataView, at: number, value: never): void;
}

const fixed: Record<string, Fixed> = {
  y: { size: 1, read: (v, at) => v.getUint8(at), write: (v, at, value: number) => v.setUint8(at, value) },
  b: { size: 4, read: (v, at, le) => v.getUint32(at, le) !== 0, write: (v, at, value: boolean) => v.setUint32(at, value ? 1 : 0, true) },
  n: { size: 2, read: (v, at, le) => v.getInt16(at, le), write: (v, at, value: number) => v.setInt16(at, value, true) },
  q: { size: 2, read: (v, at, le) => v.getUint16(at, le), write: (v, at, value: number) => v.setUint16(at, value, true) },
  i: { size: 4, read: (v, at, le) => v.getInt32(at, le), write: (v, at, value: number) => v.setInt32(at, value, true) },
  u: { size: 4, read: (v, at, le) => v.getUint32(at, le), write: (v, at, value: number) => v.setUint32(at, value, true) },
  // A file descriptor's place in the list that comes beside the message; none is ever taken.
  h: { size: 4, read: (v, at, le) => v.getUint32(at, le), write: (v, at, value: number) => v.setUint32(at, value, true) },
  x: { size: 8, read: (v, at, le) => v.getBigInt64(at, le), write: (v, at, value: bigint) => v.setBigInt64(at, value, true) },
  t: { size: 8, read: (v, at, le) => v.getBigUint64(at, le), write: (v, at, value: bigint) => v.setBigUint64(at, value, true) },
  d: { size: 8, read: (v, at, le) => v.getFloat64(at, le), write: (v, at, value: number) => v.setFloat64(at, value, true) },
};

const alignments: Record<string, number> = { s: 4, o: 4, a: 4, "(": 8, "{": 8, g: 1, v: 1 };

function alignment(type: string): number {
  const first = type.charAt(0);
  return fixed[first]?.size ?? alignments[first] ?? invalid(`no such type: ${first}`);
}

/** The complete types of a signature: `sa{sv}u` is s, a{sv}, u. */
function split(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length;) {
    const end = typeEnd(signature, at, 0);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function typeEnd(signature: string, at: number, depth: number): number {
  const first = signature.charAt(at);
  if (depth > depthMax) invalid("nested too deeply");
  if (first === "a") return typeEnd(signature, at + 1, depth + 1);
  if (first !== "(" && first !== "{") {
    alignment(first);
    return at + 1;
  }
  const close = first === "(" ? ")" : "}";
  let next = at + 1;
  while (signature.charAt(next) !== close) next = typeEnd(signature, next, depth + 1);
  if (next === at + 1) invalid("an empty struct");
  return next + 1;
}

export function readValues(bytes: Uint8Array, { signature, offset, little }: { signature: string; offset: number; little: boolean }) {
  const reader = new Reader(bytes, offset, little);
  return { values: split(signature).map((type) => reader.value(type, 0)), end: reader.at };
}

class Reader {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(bytes: Uint8Array, offset: number, little: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = offset;
    this.#little = little;
  }

  value(type: string, depth: number): unknown {
    if (depth > depthMax) invalid("nested too deeply");
    this.#align(alignment(type));
    const plain = fixed[type];
    if (plain !== undefined) return plain.read(this.#view, this.#take(plain.size), this.#little);
    switch (type.charAt(0)) {
      case "s":
      case "o":
        return this.#text(this.#length());
      case "g":
        return this.#text(this.#view.getUint8(this.#take(1)));
      case "v":
        return this.#variant(depth);
      case "a":
        return this.#array(type.slice(1), depth);
      default:
        return split(type.slice(1, -1)).map((member) => this.value(member, depth + 1));
    }
  }

  #variant(depth: number): unknown {
    const types = split(this.#text(this.#view.getUint8(this.#take(1))));
    if (types.length !== 1) invalid("a variant of other than one value");
    return this.value(types[0]!, depth + 1);
  }

  #array(element: string, depth: number): unknown {
    const length = this.#length();
    this.#align(alignment(element));
    const end = this.at + length;
    if (end > this.#bytes.length) invalid("an array longer than its message");
    if (element === "y") return new Uint8Array(this.#bytes.subarray(this.#take(length), end));
    const elements: unknown[] = [];
    while (this.at < end) elements.push(this.value(element, depth + 1));
    if (this.at !== end) invalid("an array whose last element does not fit it");
    return element.startsWith("{") ? new Map(elements as [unknown, unknown][]) : elements;
  }

  #text(length: number): string {
    const from = this.#take(length + 1); // with the NUL that ends it
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + from, length).toString("utf8");
  }

  #length(): number {
    return this.#view.getUint32(this.#take(4), this.#little);
  }

  #align(size: number): void {
    this.at = Math.ceil(this.at / size) * size;
  }

  #take(size: number): number {
    const from = this.at;
    if (from + size > this.#bytes.length) invalid("it ends in the middle of a value");
    this.at += size;
    return from;
  }
}

/** A value of a variant, which says its type when written. */
export class Variant {
  readonly type: string;
  readonly value: unknown;

  constructor(type: string, value: unknown) {
    this.type = type;
    this.value = value;
  }
}

/** Little-endian. The first byte is taken as aligned to 8. */
export function writeValues(signature: string, values: readonly unknown[]): Buffer {
  const writer = new Writer();
  split(signature).forEach((type, i) => writer.value(type, values[i]));
  return Buffer.concat(writer.chunks);
}

class Writer {
  readonly chunks: Buffer[] = [];
  #length = 0;

  value(type: string, value: unknown): void {
    this.#align(alignment(type));
    const plain = fixed[type];
    if (plain !== undefined) return this.#plain(plain, value);
    switch (type.charAt(0)) {
      case "s":
      case "o":
        return this.#text(fixed["u"]!, value as string);
      case "g":
        return this.#text(fixed["y"]!, value as string);
      case "v": {
        const { type: held, value: inner } = value as Variant;
        this.value("g", held);
        return this.value(held, inner);
      }
      case "a":
        return this.#array(type.slice(1), value as Iterable<unknown>);
      default:
        return split(type.slice(1, -1)).forEach((member, i) => this.value(member, (value as unknown[])[i]));
    }
  }

  #array(element: string, elements: Iterable<unknown>): void {
    const length = Buffer.alloc(4);
    this.#push(length);
    this.#align(alignment(element));
    const from = this.#length;
    for (const each of elements) this.value(element, each);
    length.writeUInt32LE(this.#length - from);
  }

  #text(length: Fixed, text: string): void {
    const bytes = Buffer.from(`${text}\0`);
    this.#plain(length, bytes.length - 1);
    this.#push(bytes);
  }

  #plain({ size, write }: Fixed, value: unknown): void {
    const bytes = Buffer.alloc(size);
    write(new DataView(bytes.buffer, bytes.byteOffset, size), 0, value as never);
    this.#push(bytes);
  }

  #align(size: number): void {
    const missing = (size - (this.#length % size)) % size;
    if (missing > 0) this.#push(Buffer.alloc(missing));
  }

  #push(bytes: Buffer): void {
    this.chunks.push(bytes);
    this.#length += bytes.length;
  }
}

function invalid(what: string): never {
  throw new DbusFormatError(`not a D-Bus message: ${what}`);
}
