/**
 * Hostile frames made of honest ones: of their bytes (flips, cuts, splices) and of their MessagePack structure (other types, lengths and
 * counts that lie, nesting, extensions, bad UTF-8, doubled keys, `__proto__`). All of it drawn from one seed.
 */
import type { Chance } from "../chance.ts";
import { type Token, tokensOf } from "./tokens.ts";

export interface Source {
  frame: Buffer;
  tokens: Token[];
}

export function sourceOf(frame: Buffer): Source {
  return { frame, tokens: tokensOf(frame) };
}

type Mutation = (source: Source, chance: Chance, sources: readonly Source[]) => Buffer;

/** Mutations of mutations: so many at most. */
const roundsMax = 3;
/** How often a frame swells beyond some kilobytes: it costs as much as hundreds of others. */
const largeShare = 0.02;

/** A frame and the names of what was done to it. */
export function mutant(sources: readonly Source[], chance: Chance): { frame: Buffer; kinds: string[] } {
  let { frame } = chance.pick(sources);
  const kinds: string[] = [];
  const rounds = 1 + chance.below(roundsMax);
  for (let round = 0; round < rounds; round++) {
    const name = chance.pick(names);
    frame = mutations[name](sourceOf(frame), chance, sources);
    kinds.push(name);
  }
  return { frame, kinds };
}

const mutations = {
  flip: ({ frame }, chance) => {
    const copy = Buffer.from(frame);
    for (let count = 1 + chance.below(4); count > 0 && copy.length > 0; count--) {
      const at = chance.below(copy.length);
      copy[at]! ^= 1 << chance.below(8);
    }
    return copy;
  },
  cut: ({ frame }, chance) => frame.subarray(0, chance.below(frame.length + 1)),
  drop: ({ frame }, chance) => {
    const at = chance.below(frame.length + 1);
    return Buffer.concat([frame.subarray(0, at), frame.subarray(at + 1 + chance.below(8))]);
  },
  insert: ({ frame }, chance) => {
    const at = chance.below(frame.length + 1);
    return Buffer.concat([frame.subarray(0, at), bytes(chance, 1 + chance.below(8)), frame.subarray(at)]);
  },
  noise: (_source, chance) => bytes(chance, chance.below(200)),
  /** The head of one frame, the tail of another. */
  splice: ({ frame }, chance, sources) => {
    const other = chance.pick(sources).frame;
    return Buffer.concat([frame.subarray(0, chance.below(frame.length + 1)), other.subarray(chance.below(other.length + 1))]);
  },
  /** A whole value of another frame in the place of one. */
  graft: (source, chance, sources) => {
    const other = chance.pick(sources);
    const from = pick(other, chance);
    return replaced(source, chance, from === undefined ? Buffer.of(0xc0) : other.frame.subarray(from.at, from.end));
  },
  type: (source, chance) => replaced(source, chance, chance.pick(values)),
  number: (source, chance) => replaced(source, chance, chance.pick(numbers)),
  text: (source, chance) => replaced(source, chance, chance.pick(texts)),
  extension: (source, chance) => replaced(source, chance, chance.pick(extensions)),
  /** A length or count that says more, or less, than there is. */
  lie: (source, chance) => {
    const copy = Buffer.from(source.frame);
    const token = pick(source, chance);
    if (token === undefined) return copy;
    return Buffer.concat([copy.subarray(0, token.at), chance.pick(lies), copy.subarray(token.body)]);
  },
  nest: (source, chance) => {
    const depth = chance.pick([10, 99, 101, 1_000]);
    return replaced(source, chance, Buffer.concat([Buffer.alloc(depth, chance.pick([0x91, 0x81])), Buffer.of(0xc0)]));
  },
  /** One more entry in a map: a key that is there already, or one that objects have by birth. */
  key: (source, chance) => {
    const maps = source.tokens.filter(({ kind, small }) => kind === "map" && small);
    const map = maps[chance.below(maps.length)];
    if (map === undefined || (source.frame[map.at]! & 0x0f) === 0x0f) return source.frame;
    const copy = Buffer.from(source.frame);
    copy[map.at]!++;
    const known = source.tokens.filter(({ kind }) => kind === "text").map(({ at, end }) => source.frame.subarray(at, end));
    const key = chance.fraction() < 0.5 && known.length > 0 ? chance.pick(known) : chance.pick(births);
    return Buffer.concat([copy.subarray(0, map.body), key, chance.pick(values), copy.subarray(map.body)]);
  },
  /** Up to the limits, and beyond them. */
  swell: (source, chance) => {
    const size = chance.pick(chance.fraction() < largeShare ? [65_536, 200_000] : [33, 100, 1_001, 8_193]);
    const many = chance.fraction() < 0.5;
    const head = Buffer.alloc(5);
    head[0] = many ? 0xdd : 0xdb;
    head.writeUInt32BE(size, 1);
    return replaced(source, chance, Buffer.concat([head, Buffer.alloc(size, many ? chance.pick([0xc0, 0x80, 0x01]) : 0x61)]));
  },
} satisfies Record<string, Mutation>;
const names = Object.keys(mutations) as (keyof typeof mutations)[];

const hex = (...texts: string[]) => texts.map((text) => Buffer.from(text, "hex"));
/** null, booleans, numbers, text, binary, list, map: of every type one that is small. */
const values = hex(
  "c0",
  "c2",
  "c3",
  "00",
  "ff",
  "ca7fc00000",
  "a0",
  "a178",
  "c400",
  "c40100",
  "90",
  "9190",
  "80",
  "81a16101",
  "d90161",
  "dc0000",
);
/** At and beyond the edges: NaN, infinities, -0, 2^53, 2^64 - 1, -2^63. */
const numbers = hex(
  "cb7ff8000000000000",
  "cb7ff0000000000000",
  "cbfff0000000000000",
  "cb8000000000000000",
  "cf0020000000000000",
  "cf001fffffffffffff",
  "cfffffffffffffffff",
  "d38000000000000000",
  "ceffffffff",
  "d0ff",
  "cb3fe0000000000000",
  "cb433fffffffffffff",
);
/** Bad UTF-8, lone surrogates, NUL, escapes, direction marks, what other languages would run. */
const texts = [
  ...hex("a1ff", "a2c080", "a3eda080", "a4f4908080", "a2c328", "a100"),
  ...["../../../etc/passwd", "master", "t-0000000000000000.1", "${{ event.id }}", "\u202e\x1b[2J", "'; rm -rf /; '"].map(packedText),
];
/** Every extension token, also those that msgpackr knows: records, references, dates, sets, patterns, errors, BigInts. */
const extensions = hex(
  "d40001",
  "d47201",
  "d57265ff",
  "d6ff00000000",
  "d7ff0000000000000000",
  "d8ff00000000000000000000000000000000",
  "c70078",
  "c70c780000000000000000000000ff",
  "c8ffff72",
  "c9ffffffff72",
  "d46900",
  "d67000000001",
  "c70173ff",
  "c70165ff",
  "c70142ff",
  "c1",
);
const lies = hex(
  "ddffffffff",
  "dfffffffff",
  "dbffffffff",
  "c6ffffffff",
  "dcffff",
  "deffff",
  "daffff",
  "d9ff",
  "9f",
  "8f",
  "bf",
  "90",
  "80",
  "a0",
  "dd00000001",
);
const births = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", ""].map(packedText);

function packedText(text: string): Buffer {
  const content = Buffer.from(text);
  return Buffer.concat([Buffer.of(0xd9, content.length), content]);
}

function replaced(source: Source, chance: Chance, value: Buffer): Buffer {
  const token = pick(source, chance);
  if (token === undefined) return value;
  return Buffer.concat([source.frame.subarray(0, token.at), value, source.frame.subarray(token.end)]);
}

function pick({ tokens }: Source, chance: Chance): Token | undefined {
  return tokens[chance.below(tokens.length)];
}

function bytes(chance: Chance, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => chance.below(256)));
}
