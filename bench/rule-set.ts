/**
 * A set of reactors as a large site has it, and the events that go with it: many reactors on the same few types, told apart by a path, a unit,
 * a tenant; some with globs, some that keep state. Each event is made for one of the reactors, and one in ten fulfils its condition, however
 * many reactors there are: so that all that differs is how many there are.
 */
import { type WireEvent, wireEvent } from "@needfire/shared/wire-event";

const fulfilledEvery = 10;
const agents = 1_000;

interface Kind {
  /** Of ten reactors. */
  share: number;
  yaml(number: number): string;
  event(number: number, fulfilled: boolean): { type: string; subject?: string; data: Record<string, unknown> };
}

const emit = "do: [{ event.emit: { type: site.noticed } }]";

const kinds: readonly Kind[] = [
  {
    share: 2,
    yaml: (k) => `on: file.changed\nwhen: event.subject == "/etc/app/site-${k}.conf" && event.data.by != "deploy"\n${emit}`,
    event: (k, yes) => ({ type: "file.changed", subject: `/etc/app/site-${k}.conf`, data: { by: yes ? "root" : "deploy", size: 812 } }),
  },
  {
    share: 2,
    yaml: (k) => `on: [file.changed, file.drifted]\nwhen: event.subject.startsWith("/srv/app-${k}/") && event.data.size > 1000.0\n${emit}`,
    event: (k, yes) => ({ type: "file.drifted", subject: `/srv/app-${k}/current/index.html`, data: { by: "www", size: yes ? 2_000 : 10 } }),
  },
  {
    share: 1,
    yaml: (k) =>
      `on: service.failed\nwhen: event.data.unit in ["web-${k}.service", "job-${k}.service"] && event.data.restarts < 5.0\n${emit}`,
    event: (k, yes) => ({ type: "service.failed", subject: `web-${k}.service`, data: { unit: `web-${k}.service`, restarts: yes ? 1 : 9 } }),
  },
  {
    share: 1,
    yaml: (k) => `on: disk.*\nwhen: event.data.mount == "/srv/data-${k}" && event.data.used_percent > 90.0\n${emit}`,
    event: (k, yes) => ({ type: "disk.filling", data: { mount: `/srv/data-${k}`, used_percent: yes ? 95.5 : 40 } }),
  },
  {
    share: 1,
    yaml: (k) =>
      `on: login.failed\nwhen: event.data.tenant == "tenant-${k}" && event.data.user != "backup"\ncorrelate: { count: 5, within: 1m, by: [event.agent] }\n${emit}`,
    event: (k, yes) => ({ type: "login.failed", data: { tenant: `tenant-${k}`, user: yes ? "root" : "backup", address: "192.0.2.7" } }),
  },
  {
    share: 1,
    yaml: (k) =>
      `correlate:\n  sequence:\n    - { on: app.deployed, when: 'event.data.app == "app-${k}" && event.data.ok == true', as: deploy }\n    - { on: app.failed, when: 'event.data.app == "app-${k}" && event.agent == matched.deploy.agent', as: failure }\n  within: 10m\n${emit}`,
    event: (k, yes) => ({ type: k % 2 === 0 ? "app.deployed" : "app.failed", data: { app: `app-${k}`, ok: yes } }),
  },
  {
    share: 1,
    yaml: (k) =>
      `raise: { on: load.high, when: 'event.data.group == "group-${k}" && event.data.load > 10.0' }\nclear: { on: load.high, when: 'event.data.group == "group-${k}" && event.data.load < 1.0' }\nfor: 30s\n${emit}`,
    event: (k, yes) => ({ type: "load.high", data: { group: `group-${k}`, load: yes ? 12 : 5 } }),
  },
  {
    share: 1,
    yaml: (k) =>
      `on: backup.started\nwhen: event.data.job == "job-${k}"\ncorrelate:\n  none: { on: backup.ended, when: 'event.data.job == "job-${k}"' }\n  within: 1h\n  by: [event.agent]\n${emit}`,
    event: (k, yes) => ({ type: yes ? "backup.started" : "backup.ended", data: { job: `job-${k}` } }),
  },
];

/** Which kind each of ten reactors is: so ten have the same kinds as ten thousand. */
const order = kinds.flatMap((kind) => Array.from({ length: kind.share }, () => kind));

/** YAML of some reactors, from one number on. */
export function ruleSet(from: number, count: number): string {
  return Array.from({ length: count }, (_value, index) => `name: rule-${from + index}\n${kindOf(from + index).yaml(from + index)}\n`).join(
    "---\n",
  );
}

/** How events are spread over the reactors: `few`: as it is everywhere, a few have most of them (Zipf's law); `even`: all have as many. */
export type Spread = "few" | "even";

/** The event of a number, for one of so many reactors. */
export function ruleEvent(number: number, { reactors, spread }: { reactors: number; spread: Spread }): { agent: string; event: WireEvent } {
  // Steps of the golden ratio fall evenly between 0 and 1.
  const place = (number * 0.618_033_988_749_895) % 1;
  const tens = reactors / order.length;
  const ten = spread === "few" ? Math.floor(tens ** place) - 1 : Math.floor(tens * place);
  const reactor = ten * order.length + (number % order.length);
  const { type, subject, data } = kindOf(reactor).event(reactor, Math.floor(number / order.length) % fulfilledEvery === 0);
  const draft = { type, time: number, severity: "normal", data, ...(subject === undefined ? {} : { subject }) } as const;
  return { agent: `host-${number % agents}`, event: wireEvent(number + 1, draft) };
}

function kindOf(number: number): Kind {
  return order[number % order.length]!;
}
