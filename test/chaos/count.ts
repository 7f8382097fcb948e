/**
 * Counts what a round made against what became of it: events made = events in the journal, each once (P1); reactions = matches, each once
 * (P2); commands at most once on the host, the rest reported (P3). Values in, mismatches out, each with the exact ids.
 */
import type { EventView, TaskView } from "@needfire/shared/api";
import { fileName, type Life, reactorName } from "./house.ts";
import type { SpoiledJournal } from "./journal-file.ts";
import type { Numbered, Sent } from "./load.ts";

/** How a task of a round may end: nobody cancels one. */
export const endedStates: ReadonlySet<TaskView["state"]> = new Set(["resolved", "escalated", "expired"] as const);

/** What is known of one agent's host. `destroyed`: numbers that a fault took out of its spool. */
export interface HostRecord {
  agent: string;
  folder: string;
  files: readonly Numbered[];
  lives: readonly Life[];
  destroyed: ReadonlySet<number>;
  ran: readonly string[];
}

export interface Observed {
  hosts: readonly HostRecord[];
  sent: readonly Sent[];
  events: readonly EventView[];
  tasks: readonly TaskView[];
  /** What faults took out of the journal. */
  spoiled: readonly SpoiledJournal[];
}

export interface Count {
  files: number;
  /** Made while nobody watched, or by an agent that was killed before it had written it down. */
  unseen: number;
  /** Lost with a spool that was destroyed, and told. */
  told: number;
  sent: number;
  events: number;
  tasks: number;
  ran: number;
  /** By the state of their execution. */
  executions: Record<string, number>;
  mismatches: string[];
}

export function countRound(asFound: Observed): Count {
  const observed = withLost(asFound);
  const count: Count = {
    files: 0,
    unseen: 0,
    told: 0,
    sent: observed.sent.length,
    events: asFound.events.length,
    tasks: observed.tasks.length,
    ran: 0,
    executions: {},
    mismatches: [],
  };
  countLost(observed, new Set(asFound.events.map(({ id }) => id)), count);
  countNumbers(observed, count);
  for (const host of observed.hosts) {
    countFiles(host, observed, count);
    countReactions(host, observed, count);
    countCommands(host, observed, count);
  }
  countSent(observed, count);
  countTasks(observed, count);
  return count;
}

/** What stood on a page that was destroyed had been there: everything that hangs on it must fit as if it still were. */
function withLost(observed: Observed): Observed {
  const found = new Set(observed.events.map(({ id }) => id));
  const lost = observed.spoiled.flatMap((journal) => journal.lost).filter(({ event }) => !found.has(event.id));
  return { ...observed, events: [...observed.events, ...lost.map(({ event }) => event)] };
}

/** What is lost with a page is told, with how much is left; what is lost with a sealed partition, with which. */
function countLost({ spoiled, events }: Observed, found: ReadonlySet<string>, count: Count): void {
  const dataOf = (name: string) => events.filter(({ type }) => type === name).map(({ data }) => data);
  const reports = dataOf("journal.damaged").map((data) => data["kept"] as Record<string, number>);
  for (const { lost, told } of spoiled) {
    const missing = lost.filter(({ event }) => !found.has(event.id)).length;
    count.told += missing;
    if (told.type === "journal.partition_damaged") {
      const times = dataOf(told.type).filter((data) => data["partition"] === told.partition).length;
      if (times > 1 || (missing > 0 && times === 0))
        count.mismatches.push(`of sealed partition ${told.partition} ${missing} events are missing; that was told ${times} times`);
    } else if (!reports.some((report) => Object.entries(told.kept).every(([table, rows]) => report[table] === rows)))
      count.mismatches.push(
        `of the journal ${JSON.stringify(told.kept)} were left and ${lost.length} lost; told was ${JSON.stringify(reports)}`,
      );
  }
}

/** Events that were lost before the master had decided what to do about them. */
function unjudged({ spoiled }: Observed): Set<string> {
  return new Set(spoiled.flatMap(({ lost }) => lost.filter(({ judged }) => !judged).map(({ event }) => event.id)));
}

/** Every id once, every place once, and the numbers of each numbering without a gap. */
function countNumbers({ events, hosts }: Observed, { mismatches }: Count): void {
  for (const id of doubles(events.map(({ id }) => id))) mismatches.push(`the event ${id} is in the journal more than once`);
  for (const place of doubles(events.map(({ position }) => position))) mismatches.push(`two events have the position ${place}`);
  const numberings = Map.groupBy(events, ({ id }) => id.slice(0, id.lastIndexOf(":")));
  for (const [numbering, members] of numberings) {
    const found = new Set(members.map(({ id }) => Number(id.slice(id.lastIndexOf(":") + 1))));
    // One that goes on from another brings along what the master did not have of that.
    const turned = members.find(({ type }) => type === "spool.turned_back")?.id ?? ":1";
    const first = Number(turned.slice(turned.lastIndexOf(":") + 1));
    const missing = range(first, Math.max(...found)).filter((number) => !found.has(number));
    if (missing.length === 0) continue;
    const agent = members[0]!.agent;
    const told = events.some((event) => lossIsTold(event, agent));
    const destroyed = hosts.some((host) => host.agent === agent && host.destroyed.size > 0);
    if (!(told && destroyed))
      mismatches.push(`of the events ${numbering}:${first} to ${Math.max(...found)} these are missing: ${list(missing)}`);
  }
}

/** Events made = events in the journal, each once. */
function countFiles(host: HostRecord, { events }: Observed, count: Count): void {
  const { agent, files, lives, destroyed } = host;
  const found = Map.groupBy(created(host, events), ({ subject }) => numberOf(host, subject));
  for (const [number, members] of found) {
    if (files[number] === undefined)
      count.mismatches.push(`${agent}: an event about ${fileName(number)}, which was never made: ${ids(members)}`);
    if (members.length > 1) count.mismatches.push(`${agent}: ${fileName(number)} became ${members.length} events: ${ids(members)}`);
  }
  const isTold = events.some((event) => lossIsTold(event, agent));
  const firstOf = lives.map((_life, index) => files.find((file) => file.life === index && found.has(file.number))?.number ?? Infinity);
  const lost: number[] = [];
  const untold: number[] = [];
  count.files += files.length;
  for (const { number, life } of files) {
    if (found.has(number)) continue;
    const spooled = lives[life]?.left;
    if (destroyed.has(number) && isTold) count.told++;
    else if (destroyed.has(number)) untold.push(number);
    else if (spooled === undefined ? number < firstOf[life]! : !spooled.has(number)) count.unseen++;
    else lost.push(number);
  }
  if (untold.length > 0) count.mismatches.push(`${agent}: lost with a damaged file, and nobody tells: ${list(untold.map(fileName))}`);
  if (lost.length > 0) count.mismatches.push(`${agent}: made and not in the journal: ${list(lost.map(fileName))}`);
}

/** Reactions = matches, each once: the task of the one reactor that the event is for. */
function countReactions(host: HostRecord, observed: Observed, { mismatches }: Count): void {
  const { events, tasks } = observed;
  const excused = unjudged(observed);
  const byEvent = Map.groupBy(tasks, ({ event }) => event);
  for (const event of created(host, events)) {
    const wanted = reactorName(host.agent, numberOf(host, event.subject));
    const made = byEvent.get(event.id) ?? [];
    if (made.length === 0 && excused.has(event.id)) continue;
    if (made.length !== 1 || made[0]!.reactor !== wanted || made[0]!.agent !== host.agent)
      mismatches.push(`${host.agent}: ${event.id} (${event.subject}) should have made a task of ${wanted} and made ${tasksText(made)}`);
  }
}

/** At most once on the host; what is not reported as interrupted or expired ran, once. */
function countCommands(host: HostRecord, { tasks, events }: Observed, count: Count): void {
  const { agent, ran } = host;
  count.ran += ran.length;
  const times = new Map<string, number>();
  for (const line of ran) times.set(line, (times.get(line) ?? 0) + 1);
  const results = Map.groupBy(
    events.filter(({ type }) => type === "execution.finished"),
    ({ cause }) => cause,
  );
  const damaged = events.some((event) => event.type === "spool.damaged" && event.agent === agent);
  const mine = tasks.filter((task) => task.agent === agent);
  for (const task of mine) {
    const runs = times.get(task.subject ?? "") ?? 0;
    times.delete(task.subject ?? "");
    const what = `${agent}: the command for ${task.subject} (${task.id})`;
    if (runs > 1) count.mismatches.push(`${what} ran ${runs} times`);
    for (const { id, state, message } of task.executions) {
      count.executions[state] = (count.executions[state] ?? 0) + 1;
      const reports = results.get(id) ?? [];
      const reported = reports.length;
      // A host whose record of ends was destroyed reports as interrupted what may have ended before: the master has heard it, and keeps to that.
      const certain = damaged ? reports.filter(({ data }) => data["outcome"] !== "interrupted").length : reported;
      if (certain > 1) count.mismatches.push(`${what} has ${reported} results`);
      if (state === "succeeded" && (runs === 0 || reported === 0))
        count.mismatches.push(`${what} is told as succeeded; it ran ${runs} times, ${reported} results`);
      if (!["succeeded", "interrupted", "expired"].includes(state)) count.mismatches.push(`${what} is ${state}: ${message ?? ""}`);
    }
  }
  for (const [line] of times) count.mismatches.push(`${agent}: a command ran for ${line}, and there is no task of it`);
}

function countSent(observed: Observed, { mismatches }: Count): void {
  const { sent, events, tasks } = observed;
  const excused = unjudged(observed);
  const inJournal = Map.groupBy(
    events.filter(({ type }) => type === "chaos.sent"),
    ({ data }) => Number(data["number"]),
  );
  const echoes = Map.groupBy(
    events.filter(({ type }) => type === "chaos.echo"),
    ({ data }) => Number(data["number"]),
  );
  for (const { number, id } of sent) {
    const found = inJournal.get(number) ?? [];
    if (found.length > 1) mismatches.push(`the sent event ${number} is in the journal ${found.length} times: ${ids(found)}`);
    if (id !== undefined && found[0]?.id !== id)
      mismatches.push(`the sent event ${number} was given the id ${id}; in the journal: ${ids(found)}`);
    if (found.some(({ id: each }) => excused.has(each))) continue;
    const reactions = tasks.filter(({ event }) => found.some((each) => each.id === event));
    const echoed = echoes.get(number) ?? [];
    if (reactions.length !== found.length || echoed.length !== found.length)
      mismatches.push(`the sent event ${number} (${ids(found)}) made ${tasksText(reactions)} and the echoes ${ids(echoed)}`);
  }
}

/** No task twice, none without its event, none that has not ended. */
function countTasks({ tasks, events }: Observed, { mismatches }: Count): void {
  const known = new Set(events.map(({ id }) => id));
  for (const id of doubles(tasks.map(({ id }) => id))) mismatches.push(`the task ${id} is there twice`);
  for (const pair of doubles(tasks.map(({ reactor, event }) => `${reactor} on ${event}`))) mismatches.push(`two tasks of ${pair}`);
  for (const { id, event } of tasks) if (!known.has(event)) mismatches.push(`the task ${id} is of ${event}, which is not in the journal`);
  const open = tasks.filter(({ state }) => !endedStates.has(state));
  if (open.length > 0) mismatches.push(`these tasks have not ended: ${tasksText(open)}`);
}

/** An event that says that something of an agent is lost. */
function lossIsTold(event: EventView, agent: string): boolean {
  if (event.type === "journal.damaged") return true;
  if (event.type === "spool.damaged") return event.agent === agent;
  return event.type === "agent.gap" && (event.agent === agent || event.subject === agent || event.data["agent"] === agent);
}

function created({ agent, folder }: HostRecord, events: readonly EventView[]): EventView[] {
  return events.filter(
    (event) => event.type === "file.created" && event.agent === agent && event.subject?.startsWith(`${folder}/`) === true,
  );
}

function numberOf({ folder }: HostRecord, subject: string | undefined): number {
  return Number(subject?.slice(folder.length + 1));
}

function doubles<T>(values: readonly T[]): T[] {
  const seen = new Set<T>();
  return values.filter((value) => seen.size === seen.add(value).size);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

function list(values: readonly (number | string)[]): string {
  return values.length > 50 ? `${values.slice(0, 50).join(" ")} and ${values.length - 50} more` : values.join(" ");
}

function ids(events: readonly EventView[]): string {
  return events.length === 0 ? "none" : list(events.map(({ id }) => id));
}

function tasksText(tasks: readonly TaskView[]): string {
  if (tasks.length === 0) return "no task";
  return list(
    tasks.map(({ id, reactor, state, executions }) => `${id} (${reactor}, ${state}, ${executions.map((each) => each.state).join(" ")})`),
  );
}
