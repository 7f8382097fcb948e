/** The events and reactors of `ingest.ts`: one event in a thousand fires one of a hundred reactors. */

export const reactorCount = 100;
export const matchEvery = 1_000;

/** `heardEvery`: of so many events, one is of a type that a reactor is waiting for. */
export function ingestDraft(index: number, heardEvery: number): { type: string; subject: string; data: Record<string, unknown> } {
  const heard = index % heardEvery === 0;
  const number = heard ? Math.floor(index / heardEvery) % reactorCount : index % reactorCount;
  return {
    type: heard ? `load.heard-${number}` : `load.other-${number}`,
    subject: `/srv/app/releases/current/config/site-${index % 97}.conf`,
    data: {
      path: `/srv/app/releases/current/config/site-${index % 97}.conf`,
      mount: "/srv/app/releases",
      used_percent: 41.5 + (index % 40),
      inodes_percent: 7.25,
      limit_percent: 90,
      device: "/dev/mapper/vg0-srv",
      filesystem: "ext4",
      note: "within its limits, as in the last hour",
      value: index % matchEvery,
    },
  };
}

/** Each waits for a type of its own and fires when the value says so. */
export function ingestReactors(): string {
  return Array.from(
    { length: reactorCount },
    (_, number) =>
      `name: load-${number}\non: load.heard-${number}\nwhen: event.data.value == 0 && event.data.used_percent > 10.0\ndo:\n  - event.emit: { type: load.matched }\n`,
  ).join("---\n");
}
