/**
 * One command to very many hosts: how soon the first result is in the journal, and the last; and how many tasks a second the master makes, sends
 * and resolves, all of it durable.
 */
import { Testbed, until } from "../test/testbed.ts";
import { type Figure, figuresOf } from "./figure.ts";
import { Fleet } from "./fleet.ts";

const sizes = [1_000, 10_000];
const waitS = 180;
const perSecond = 400;
const throughputAgents = 1_000;
/** For each of them, so that the master is not done before it is measured. */
const tasksEach = 30;

const reactors = `name: everybody
on: bench.everybody
targets: "*"
do:
  - command.run: { argv: ["true"] }
---
name: one
on: bench.one
do:
  - command.run: { argv: ["true"] }
`;
const settings = {
  per_second_offered: perSecond,
  synchronous: "FULL",
  encryption: "CURVE",
  hosts: "simulated, on the same machine: a command succeeds at once",
};

export async function dispatch({ count }: { count?: number | undefined }): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const agents of count === undefined ? sizes : [count]) figures.push(...(await withFleet(agents, everybody)));
  return [...figures, ...(await withFleet(throughputAgents, throughput))];
}

async function withFleet(agents: number, measure: (bed: Testbed, fleet: Fleet) => Promise<Figure[]>): Promise<Figure[]> {
  const bed = await Testbed.start({ heartbeat: "5s", master: "log_level: warn" }, (made) => made.reactor("dispatch", reactors));
  let fleet: Fleet | undefined;
  try {
    const { join_string: joinString } = await bed.client.createToken({ uses: agents });
    fleet = Fleet.start({ joinString, agents, perSecond });
    await fleet.until("joined", agents, waitS);
    return await measure(bed, fleet);
  } finally {
    fleet?.stop();
    await bed.stop();
  }
}

/** By the times at which the journal got the event and the results. */
async function everybody(bed: Testbed, { size }: Fleet): Promise<Figure[]> {
  // A host is one as soon as it has said what it is, which is after it has joined.
  await until("every host is known", async () => (await bed.client.agents()).agents.length === size);
  const { id } = await bed.client.send({ type: "bench.everybody", data: {} });
  let found = "nothing";
  await until(
    `all of ${size} hosts have done it`,
    async () => {
      const [rollout] = (await bed.client.rollouts({ reactor: "everybody" })).rollouts;
      if (rollout !== undefined)
        found = `${rollout.hosts} hosts, ${rollout.begun} begun, ${rollout.resolved} resolved, ${rollout.failed} failed`;
      return rollout?.resolved === size;
    },
    () => found,
  );
  const received = async (type: string) => (await bed.client.events({ type, limit: 10_000 })).events;
  const wanted = (await received("bench.everybody")).find((event) => event.id === id)!;
  const from = Date.parse(wanted.received);
  const results = (await received("execution.finished")).map((event) => (Date.parse(event.received) - from) / 1_000);
  const figure = figuresOf("dispatch", { ...settings, command: 'a rollout without limits: targets "*"' });
  return [
    figure(`first_result_${size}_s`, Math.min(...results), "s"),
    figure(`last_result_${size}_s`, Math.max(...results), "s"),
    figure(`hosts_per_s_${size}`, size / Math.max(...results), "hosts/s"),
  ];
}

/** Each host's event makes a task, whose command goes to it and whose result comes back: a host's all at once, and then one after the other. */
async function throughput(_bed: Testbed, fleet: Fleet): Promise<Figure[]> {
  const event = { type: "bench.one", severity: "normal", data: {} } as const;
  const tasks = fleet.size * tasksEach;
  const figure = figuresOf("dispatch", {
    ...settings,
    agents: fleet.size,
    tasks,
    from: "the first event, until all results are acknowledged",
  });
  fleet.emit(event, { times: tasksEach });
  const atOnce = await fleet.until("answered", tasks, waitS);
  fleet.emit(event, { times: tasksEach, inTurn: true });
  const inTurn = await fleet.until("answered", 2 * tasks, waitS);
  return [
    { ...figure("tasks_per_s", tasks / atOnce, "tasks/s"), aim: 5_000, better: "more" },
    figure("tasks_per_s_one_a_host", tasks / inTurn, "tasks/s"),
  ];
}
