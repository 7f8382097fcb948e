/**
 * `npm run fuzz -- [--frames N] [--wire N] [--seed S] [--json]`: mutated frames of every kind at every door in this process, then over the
 * wire against a real master. Ends with 1 when anything threw, hung or grew, and says with which seed to see it again.
 */
import { parseArgs } from "node:util";
import { fuzzDoors } from "./decode.ts";
import { fuzzMaster } from "./wire.ts";

const { values: flags } = parseArgs({
  options: {
    frames: { type: "string", default: "1000000" },
    wire: { type: "string", default: "300000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    json: { type: "boolean", default: false },
  },
});
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
process.exitCode = await main();

async function main(): Promise<number> {
  const [frames, wireFrames, seed] = [Number(flags.frames), Number(flags.wire), Number(flags.seed)];
  if (![frames, wireFrames, seed].every((value) => Number.isSafeInteger(value) && value >= 0)) {
    console.error("usage: npm run fuzz -- [--frames N] [--wire N] [--seed S] [--json]");
    return 2;
  }
  console.error(`fuzz: --seed ${seed}, ${frames} frames at the doors, ${wireFrames} over the wire`);
  const atDoors = fuzzDoors(seed, frames);
  if (!flags.json) tell("at the doors", atDoors);
  const overWire = wireFrames === 0 || stop.signal.aborted ? undefined : await fuzzMaster(seed, wireFrames, stop.signal);
  if (!flags.json && overWire !== undefined) tell("over the wire", overWire);
  if (flags.json) console.log(JSON.stringify({ seed, doors: atDoors, wire: overWire ?? null }));
  const breaches = [...atDoors.breaches, ...(overWire?.breaches ?? [])];
  if (breaches.length > 0) console.error(`again: npm run fuzz -- --seed ${seed} --frames ${frames} --wire ${wireFrames}`);
  if (stop.signal.aborted) return 130;
  return breaches.length > 0 ? 1 : 0;
}

function tell(where: string, { breaches, ...figures }: { breaches: string[] } & object): void {
  console.log(where);
  for (const [name, value] of Object.entries(figures))
    console.log(`  ${name.padEnd(14)} ${typeof value === "object" ? table(value as Record<string, number>) : String(value)}`);
  if (breaches.length === 0) console.log("  no crash, no hang, no growth");
  for (const breach of breaches) console.log(`  BREACH ${breach}`);
}

function table(tally: Record<string, number>): string {
  return Object.entries(tally)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${name} ${count}`)
    .join(", ");
}
