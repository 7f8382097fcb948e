/**
 * Where the time of a reaction goes, from the events' own times: to the master, through it, to the host, and there.
 */
import type { TaskView } from "@needfire/shared/api";
import type { Testbed } from "../test/testbed.ts";
import type { Figure } from "./figure.ts";
import { quantile } from "./quantile.ts";

export interface HopsOptions {
  bench: string;
  reactor: string;
  /** Of so many of the last tasks. */
  count: number;
  /** Quantiles, such as 0.5. */
  shares?: readonly number[];
}

export async function hops(bed: Testbed, { bench, reactor, count, shares = [0.5] }: HopsOptions): Promise<Figure[]> {
  const { tasks } = await bed.client.tasks({ reactor, limit: count });
  const { events } = await bed.client.events({ type: "file.drifted", limit: 10_000 });
  const eventOf = new Map(events.map((event) => [event.id, event]));
  const restored = tasks.flatMap((task) => {
    const event = eventOf.get(task.event);
    const restore = task.executions.find(({ purpose }) => purpose === "do");
    return event === undefined || restore === undefined ? [] : [{ event, restore }];
  });
  const settings = { changes: restored.length, from: "the events' own times" };
  const hop = (name: string, of: (each: (typeof restored)[number]) => number): Figure[] =>
    shares.map((share) => ({
      bench,
      metric: `${name}_p${share * 100}`,
      value: quantile(restored.map(of), share),
      unit: "ms",
      settings,
    }));
  return [
    ...hop("event_to_master", ({ event }) => timeOf(event.received) - timeOf(event.time)),
    ...hop("master_to_sent", ({ event, restore }) => timeOf(restore.sent) - timeOf(event.received)),
    ...hop("sent_to_begun", ({ restore }) => timeOf(restore.started) - timeOf(restore.sent)),
    ...hop("restore", ({ restore }) => timeOf(restore.ended) - timeOf(restore.started)),
  ];
}

function timeOf(iso: TaskView["executions"][number]["sent"]): number {
  if (iso === undefined) return Number.NaN;
  return Date.parse(iso) + Number(/\.\d{3}(\d{3})Z$/.exec(iso)?.[1] ?? 0) / 1_000;
}
