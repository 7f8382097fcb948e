/**
 * Mutants over the wire, through CURVE, against a real master: from a peer that has joined, from one whose key waits, and from one that
 * never said who it is. All the while a good agent beside them keeps being served: an event of its own makes the way through journal,
 * reactor and back, within a bound. The master neither ends, nor hangs, nor grows.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseJoinString } from "@needfire/shared/identity";
import { type AgentMessage, decodeFromAgent, encode, glance } from "@needfire/shared/wire";
import { fromAgent } from "@needfire/shared/wire-fixture";
import { BusPeer } from "../bus-peer.ts";
import { Chance } from "../chance.ts";
import { type Process, Testbed } from "../testbed.ts";
import { examples } from "./doors.ts";
import { mutant, type Source, sourceOf } from "./mutate.ts";

/** Little room for the heap and few arenas: else what V8 and the allocator do not bother to give back looks like growth. */
const littleRoom = { NODE_OPTIONS: "--max-old-space-size=64 --max-semi-space-size=4", MALLOC_ARENA_MAX: "2" };
/** What the master may have grown by all the same: buffers of libzmq's, and statements and rows that SQLite keeps. */
const grownBytesMax = 128 * 1024 * 1024;
/** The good agent's way, on a small machine that makes the mutants as well. */
const servedMsMax = 5_000;
const serveEveryMs = 100;
/** Frames between two rests. */
const breathFrames = 500;
const warmUpFrames = 500;
/** How often a message is of several frames. */
const severalShare = 0.02;
/** How long the master may take to answer what was asked behind all the mutants. */
const drainedMsMax = 30_000;
const askAgainMs = 1_000;
/** Beyond it a peer could hardly count on. */
const counterMax = 2 ** 52;

export interface WireReport {
  seed: number;
  frames: number;
  frames_per_s: number;
  /** By peer. */
  sent: Record<string, number>;
  served: number;
  served_p50_ms: number;
  served_max_ms: number;
  rss_before_mb: number;
  rss_after_mb: number;
  breaches: string[];
}

export async function fuzzMaster(seed: number, frames: number, signal: AbortSignal): Promise<WireReport> {
  const breaches: string[] = [];
  const bed = await Testbed.start(
    { enrolment: "manual", heartbeat: "1m", falseEvents: true, launch: (name) => (name === "master" ? { env: littleRoom } : {}) },
    prepare,
  );
  const peers: BusPeer[] = [];
  try {
    await bed.addAgent("good");
    await bed.watching("good", "asked");
    const attackers = await openAttackers(bed, peers);
    const chance = new Chance(seed);
    await attack(bed, attackers, { chance, frames: warmUpFrames, signal });
    const before = rssBytes(bed.master);
    const calm = new AbortController();
    const serving = serveAgain(bed, calm.signal, breaches);
    const begun = performance.now();
    const sent = await attack(bed, attackers, { chance, frames, signal });
    const isHeard = bed.master.running && (await stillHeard(attackers[0]!));
    const seconds = (performance.now() - begun) / 1_000;
    calm.abort();
    const took = (await serving).toSorted((a, b) => a - b);
    const after = rssBytes(bed.master);
    if (!isHeard) breaches.push(`the joined peer had no answer within ${drainedMsMax} ms`);
    if (after - before > grownBytesMax) breaches.push(`the master grew from ${megabytes(before)} to ${megabytes(after)} MB`);
    if (!bed.master.running) breaches.push(`the master ended:\n${bed.master.output().slice(-2_000)}`);
    if (/"level":60|uncaught|unhandled/i.test(bed.master.output())) breaches.push("the master's log tells of an error that nobody caught");
    const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
    return {
      seed,
      frames: total,
      frames_per_s: Math.round(total / seconds),
      sent,
      served: took.length,
      served_p50_ms: Math.round(took[took.length >> 1]!),
      served_max_ms: Math.round(took.at(-1)!),
      rss_before_mb: megabytes(before),
      rss_after_mb: megabytes(after),
      breaches,
    };
  } finally {
    for (const peer of peers) peer.close();
    await bed.stop();
  }
}

/** The good agent watches a folder; what comes to be in it is removed. */
function prepare(bed: Testbed): void {
  mkdirSync(bed.path("host", "asked"));
  bed.beacon("asked", `name: asked\ntype: file\ntargets: good\npaths: [${JSON.stringify(bed.path("host", "asked"))}]\nsettle: 1ms\n`);
  bed.reactor(
    "answer",
    "name: answer\non: file.created\nwhen: agent.id == 'good'\nlimits: { breaker: off }\ndo:\n  - file.remove: { path: '${{ event.subject }}' }\n",
  );
}

/** A peer as it attacks: where its frames come from, and what becomes of them before they go. */
interface Attacker {
  name: string;
  peer: BusPeer;
  sources: Source[];
  dress(frame: Buffer): Buffer;
  /** Another peer in its place, when it was cut off. */
  reopen: (() => Promise<BusPeer>) | undefined;
}

async function openAttackers(bed: Testbed, peers: BusPeer[]): Promise<Attacker[]> {
  const { address, masterKey, token } = parseJoinString((await bed.client.createToken({ uses: 1 })).join_string);
  const open = async (agent?: string, given?: string): Promise<BusPeer> => {
    const peer = new BusPeer({ address, masterKey });
    peer.socket.sendTimeout = drainedMsMax;
    peers.push(peer);
    if (agent === undefined) await peer.challenge();
    else {
      const told = await peer.join(agent, given);
      if (told !== (given === undefined ? "pending" : "welcome")) throw new Error(`the peer "${agent}" was told: ${told}`);
    }
    return peer;
  };
  const joined = await open("joined", token);
  const sources = examples().map(sourceOf);
  return [
    {
      name: "joined",
      peer: joined,
      sources: fromAgent.map((message) => sourceOf(encode(message, { session: joined.session, counter: 1 }))),
      dress: (frame) => inSession(frame, joined),
      reopen: undefined,
    },
    { name: "waiting", peer: await open("waiting"), sources, dress: (frame) => frame, reopen: () => open("waiting") },
    { name: "unbound", peer: await open(), sources, dress: (frame) => frame, reopen: () => open() },
  ];
}

/** A mutant that still is a message gets the session and the next counter, so that it comes through the gate. */
function inSession(frame: Buffer, peer: BusPeer): Buffer {
  const decoded = decodeFromAgent(frame);
  if (!decoded.ok) return countedOn(frame, peer);
  const { message } = decoded;
  // What would end the session in good order, or begin another, is no attack.
  const other: AgentMessage = ["bye", "knock", "hello"].includes(message.kind) ? { kind: "ping", body: {} } : message;
  return encode(other, { session: peer.session, counter: ++peer.counter });
}

/**
 * A batch of events passes the gate unread, with whatever counter the mutation gave it: from there the peer has to count on, or all that
 * it says later is a replay.
 */
function countedOn(frame: Buffer, peer: BusPeer): Buffer {
  const seen = glance(frame);
  if (!seen.ok || seen.envelope.session !== peer.session || seen.envelope.counter <= peer.counter) return frame;
  if (seen.envelope.counter > counterMax) return encode({ kind: "ping", body: {} }, { session: peer.session, counter: ++peer.counter });
  peer.counter = seen.envelope.counter;
  return frame;
}

interface Attack {
  chance: Chance;
  frames: number;
  signal: AbortSignal;
}

async function attack(bed: Testbed, attackers: Attacker[], { chance, frames, signal }: Attack): Promise<Record<string, number>> {
  const sent: Record<string, number> = {};
  for (let count = 0; count < frames && !signal.aborted && bed.master.running; count++) {
    const attacker = attackers[count % attackers.length]!;
    const frame = attacker.dress(mutant(attacker.sources, chance).frame);
    // Now and then as several frames of one message, which ours never are.
    const message = chance.fraction() < severalShare ? [frame, frame] : [frame];
    try {
      await attacker.peer.socket.send(message);
    } catch {
      if (attacker.reopen === undefined || !bed.master.running) break; // which is found when the master is looked at
      attacker.peer.close();
      attacker.peer = await attacker.reopen();
    }
    attacker.peer.heard.length = 0;
    sent[attacker.name] = (sent[attacker.name] ?? 0) + 1;
    // The answers are to be read, and the good agent served, by this process, too.
    if (count % breathFrames === 0) await delay(1);
  }
  return sent;
}

/**
 * All that was sent before has been read, and has not cost the peer its session. Asked more than once: the master drops an answer to a
 * peer that has a thousand to read.
 */
async function stillHeard({ peer }: Attacker): Promise<boolean> {
  for (const giveUp = performance.now() + drainedMsMax; performance.now() < giveUp;) {
    await peer.send({ kind: "ping", body: {} }).catch(() => {});
    if ((await peer.expect("pong", askAgainMs)) !== undefined) return true;
  }
  return false;
}

/** Asks the good agent again and again, until `signal`; resolves with how long each took. */
async function serveAgain(bed: Testbed, signal: AbortSignal, breaches: string[]): Promise<number[]> {
  const tookMs: number[] = [];
  while (!signal.aborted) {
    const path = bed.path("host", "asked", String(tookMs.length));
    const asked = performance.now();
    writeFileSync(path, "");
    while (existsSync(path) && performance.now() - asked < servedMsMax) await delay(2);
    tookMs.push(performance.now() - asked);
    if (existsSync(path) && !signal.aborted) {
      breaches.push(`the good agent was not served within ${servedMsMax} ms`);
      break;
    }
    await delay(serveEveryMs, undefined, { signal }).catch(() => {});
  }
  return tookMs;
}

function rssBytes({ pid }: Process): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
  } catch {
    return Number.NaN; // it ended, which is a breach of its own
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1024 / 102.4) / 10;
}
