/**
 * Something done by hand, from the target to the summary: finds the hosts, asks where they are many, orders it for so many at a time, and tells
 * of each when it ends. What was ordered goes on whatever becomes of this program: the master has it.
 */
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import type { OrderRequest, OrderView, TargetsView } from "@needfire/shared/api-by-hand";
import { NeedfireError } from "@needfire/shared/errors";
import { severities, type Severity } from "@needfire/shared/event";
import { isOwnActionName } from "@needfire/shared/own-action-name";
import type { StreamItem } from "../client.ts";
import { duration } from "../options.ts";
import { exit, type ExitCode, type Session } from "../session.ts";
import { counted, visible } from "../text.ts";
import { userName } from "../user.ts";
import { Fleet } from "./fleet.ts";
import { namesText, Progress } from "./progress.ts";

export interface OrderOptions {
  batch?: Batch;
  timeout: number;
  dryRun?: boolean;
  priority: Severity;
  why?: string;
  yes?: boolean;
}

/** So many hosts at a time, or such a part of them. */
type Batch = { hosts: number } | { percent: number };

export interface Wish {
  target: string;
  action: string;
  args: Record<string, unknown>;
  /** What is to be done, as it was typed. */
  shown: string;
  options: OrderOptions;
}

/** What they print is their result. */
const commands = ["command.run", "command.local", "script.run"];
/** More hosts than these are asked about on a terminal. */
const unaskedMax = 10;
/** What one order is for: the master takes more, in a longer turn of its own. */
const sliceMax = 500;
/** How often it is looked whether a host ended without our hearing of it. */
const sweepEveryMs = 3_000;
const sweepFirstMs = 500;
const reconnectMs = 1_000;
/** After the time of every host is up: what the master needs to say so. */
const masterGraceMs = 60_000;
const timeoutMinMs = 1_000;
const timeoutMaxMs = 604_800_000;

export function orderOptions(command: Command): Command {
  return command
    .option("--batch <n>", "so many hosts at a time, or such a part of them: 5, 10%", batch)
    .addOption(
      new Option("--timeout <duration>", "how long each host has, the wait for one that is away included")
        .argParser(timeout)
        .default(60_000, "1m"),
    )
    .option("--dry-run", "let hosts say what they would do, and change nothing")
    .addOption(new Option("--priority <priority>", "what waits for a host goes in this order").choices(severities).default("normal"))
    .option("--why <text>", "the reason, for the record")
    .option("-y, --yes", `do not ask when there are more than ${unaskedMax} hosts`);
}

/** Throws `NOT_FOUND` where the target means nobody. */
export async function carryOut(session: Session, wish: Wish): Promise<ExitCode> {
  const { out, master } = session;
  const agents = inOrder((await master.targets(targetsOf(wish.target))).agents);
  if (agents.length === 0) throw new NeedfireError("NOT_FOUND", `no agent fits the target "${wish.target}" (needfire agents list)`);
  if (!(await isWanted(agents.length, wish))) {
    out.notice("Nothing was done.");
    return exit.failed;
  }
  const fleet = new Fleet(agents);
  const progress = new Progress(out, fleet, { isCommand: commands.includes(wish.action) || isOwnActionName(wish.action) });
  const away = agents.flatMap(({ id, connected }) => (connected ? [] : [id]));
  if (away.length > 0) progress.notice(`Not connected, and waited for: ${namesText(away)}.`);
  const begun = performance.now();
  await new Carrying(session, wish, { fleet, progress }).run();
  progress.summary(performance.now() - begun);
  const { ok } = fleet.counts();
  return ok === fleet.size ? exit.done : exit.failed;
}

/** As people count; who is away comes last, so that nobody waits behind them. */
function inOrder(agents: TargetsView["agents"]): TargetsView["agents"] {
  const collator = new Intl.Collator("en", { numeric: true });
  return agents.toSorted((a, b) => Number(b.connected) - Number(a.connected) || collator.compare(a.id, b.id));
}

/** `web1,web2` is a list; what is neither that nor a glob is CEL. */
function targetsOf(target: string): string | string[] {
  return /^[A-Za-z0-9._*?-]+(,[A-Za-z0-9._*?-]+)+$/.test(target) ? target.split(",") : target;
}

/** Whoever types it is asked; a script has said what it means. */
async function isWanted(hosts: number, { shown, options }: Wish): Promise<boolean> {
  if (options.yes === true || hosts <= unaskedMax || !process.stdin.isTTY) return true;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D are answers, too.
  const gone = new AbortController();
  asking.once("SIGINT", () => gone.abort()).once("close", () => gone.abort());
  try {
    const dry = options.dryRun === true ? " (a dry run)" : "";
    return /^\s*y(es)?\s*$/i.test(
      await asking.question(`On ${hosts} hosts${dry}: ${visible(shown)}\nGo on? [y/N] `, { signal: gone.signal }),
    );
  } catch (error) {
    if (!gone.signal.aborted) throw error;
    process.stderr.write("\n");
    return false;
  } finally {
    asking.close();
  }
}

class Carrying {
  readonly #session: Session;
  readonly #wish: Wish;
  readonly #fleet: Fleet;
  readonly #progress: Progress;
  /** It is over, for us at least. */
  readonly #end = new AbortController();
  #stopped = false;
  #ordering = false;

  constructor(session: Session, wish: Wish, { fleet, progress }: { fleet: Fleet; progress: Progress }) {
    this.#session = session;
    this.#wish = wish;
    this.#fleet = fleet;
    this.#progress = progress;
  }

  async run(): Promise<void> {
    const interrupt = () => this.#interrupt();
    process.on("SIGINT", interrupt);
    this.#progress.start();
    try {
      const served = Promise.withResolvers<void>();
      const following = Promise.all([this.#follow(() => served.resolve()), this.#sweep()]);
      // A master that is away says so here, and not only in the end.
      await Promise.race([served.promise, following]);
      await Promise.race([this.#orderAll(), following]);
      this.#end.abort();
      await following;
    } finally {
      this.#end.abort();
      this.#progress.stop();
      process.removeListener("SIGINT", interrupt);
    }
  }

  /** So many at a time, until all have ended. */
  async #orderAll(): Promise<void> {
    const { signal } = this.#end;
    const limit = sizeOf(this.#wish.options.batch, this.#fleet.size);
    while (!signal.aborted) {
      const free = limit - this.#fleet.underWay.length;
      if (this.#fleet.toCome > 0 && free > 0 && !this.#stopped) await this.#orderSome(Math.min(free, sliceMax));
      else if (this.#fleet.underWay.length === 0) return;
      else await this.#fleet.change(signal);
    }
  }

  async #orderSome(most: number): Promise<void> {
    const { target, action, args, options } = this.#wish;
    const agents = this.#fleet.take(most);
    const order = {
      ...{ request: randomBytes(16).toString("hex"), targets: targetsOf(target), agents, action, args, by: userName() },
      ...{ dry_run: options.dryRun ?? false, priority: options.priority, timeout_ms: options.timeout },
      ...(options.why === undefined ? {} : { why: options.why }),
    } satisfies OrderRequest;
    this.#ordering = true;
    try {
      this.#fleet.ordered(await this.#order(order), Date.now());
    } finally {
      this.#ordering = false;
    }
    if (this.#stopped) this.#tellStopped();
  }

  /** Under one name: where the master went away with the answer, asking again orders nothing twice. */
  async #order(order: OrderRequest): Promise<OrderView> {
    const givesUp = performance.now() + masterGraceMs;
    for (;;) {
      try {
        return await this.#session.master.order(order);
      } catch (error) {
        if (!isAway(error) || this.#end.signal.aborted || performance.now() > givesUp) throw error;
        await delay(reconnectMs, undefined, { signal: this.#end.signal }).catch(() => {});
      }
    }
  }

  /** What the master tells of. It may be restarted meanwhile: what was ordered is still there. */
  async #follow(onServed: () => void): Promise<void> {
    const { signal } = this.#end;
    const type = "{task.resolved,task.escalated,task.expired,task.cancelled,agent.connected,agent.disconnected}";
    let givesUp = Number.POSITIVE_INFINITY;
    while (!signal.aborted) {
      try {
        for await (const item of this.#session.master.watch({ type }, signal, onServed)) {
          givesUp = Number.POSITIVE_INFINITY;
          await this.#heard(item);
        }
      } catch (error) {
        if (!isAway(error) || (this.#fleet.underWay.length === 0 && !this.#ordering)) throw error;
        if (givesUp === Number.POSITIVE_INFINITY) {
          givesUp = performance.now() + this.#wish.options.timeout + masterGraceMs;
          this.#progress.notice("The master has gone away; what was ordered is waited for.");
        }
        if (performance.now() > givesUp) throw error;
        await delay(reconnectMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #heard(item: StreamItem): Promise<void> {
    if ("dropped" in item) return; // the sweep finds them
    const { type, data } = item;
    if (type.startsWith("agent.")) return this.#fleet.came(String(data["agent"]), type === "agent.connected");
    const task = data["task"];
    if (typeof task === "string" && this.#fleet.hostOf(task) !== undefined) await this.#look(task);
  }

  /** What ended before we listened, or while we could not. */
  async #sweep(): Promise<void> {
    const { signal } = this.#end;
    for (let waitMs = sweepFirstMs; !signal.aborted; waitMs = sweepEveryMs) {
      await delay(waitMs, undefined, { signal }).catch(() => {});
      for (const { task } of this.#fleet.underWay) {
        if (signal.aborted) return;
        if (task !== undefined) await this.#look(task);
      }
    }
  }

  async #look(id: string): Promise<void> {
    try {
      const ended = this.#fleet.look(await this.#session.master.task(id));
      if (ended !== undefined) this.#progress.ended(ended);
    } catch (error) {
      // A master that is behind has the order, and makes its tasks when it has caught up.
      if (!isAway(error) && !(error instanceof NeedfireError && error.code === "NOT_FOUND")) throw error;
    }
  }

  #interrupt(): void {
    if (this.#stopped) return this.#end.abort();
    this.#stopped = true;
    // What is being ordered at this moment has its answer soon.
    if (!this.#ordering) this.#tellStopped();
  }

  #tellStopped(): void {
    const open = this.#fleet.underWay;
    const { toCome } = this.#fleet;
    const rest = toCome === 0 ? "" : ` ${counted(toCome, "host")} will not be begun.`;
    if (open.length === 0) {
      this.#progress.notice(`\nNothing is under way.${rest}`);
      return this.#end.abort();
    }
    const orders = [...new Set(open.flatMap(({ order }) => order ?? []))];
    this.#progress.notice(
      `\nWhat is under way on ${counted(open.length, "host")} goes on.${rest} To end it:\n  needfire tasks cancel ${orders.join(" ")}\nCtrl-C once more leaves.`,
    );
  }
}

function isAway(error: unknown): boolean {
  return error instanceof NeedfireError && error.code === "MASTER_UNREACHABLE";
}

function sizeOf(batchSize: Batch | undefined, hosts: number): number {
  if (batchSize === undefined) return hosts;
  return "hosts" in batchSize ? batchSize.hosts : Math.max(1, Math.floor((hosts * batchSize.percent) / 100));
}

function batch(text: string): Batch {
  const match = /^(\d{1,6})(%?)$/.exec(text);
  const number = Number(match?.[1]);
  if (match?.[2] === "" && number >= 1) return { hosts: number };
  if (match?.[2] === "%" && number >= 1 && number <= 100) return { percent: number };
  throw new InvalidArgumentError("Expected a number of hosts from 1, or a part of them from 1% to 100%.");
}

function timeout(text: string): number {
  const ms = duration(text);
  if (ms >= timeoutMinMs && ms <= timeoutMaxMs) return Math.round(ms);
  throw new InvalidArgumentError("Expected a duration from 1s to 7d.");
}
