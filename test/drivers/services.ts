/** Things that are asked: servers that fail and recover, a program that finds something wrong, and the clock. */
import { once } from "node:events";
import { createSocket } from "node:dgram";
import { writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { FakeEngine } from "../../packages/agent/src/beacons/check/container-fixture.ts";
import { SystemdHost } from "../../packages/agent/src/beacons/process/systemd-host.ts";
import { type Clockwork, type Driver, firstLook, interval, ownAddress, type Place } from "./driver.ts";

const asked = { interval, attempts: 1, timeout: "5s" } as const;
const minuteMs = 60_000;

export async function serverThatFails(): Promise<Driver> {
  let status = 200;
  const server = createHttpServer((_request, answer) => answer.writeHead(status).end("as it should be")).listen(0, ownAddress);
  await once(server, "listening");
  const url = `http://${ownAddress}:${(server.address() as AddressInfo).port}/`;
  return {
    options: { urls: [url], ...asked },
    change(number) {
      status = number % 2 === 0 ? 500 : 200;
      return [`http.${status === 500 ? "down" : "up"} ${url}`];
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

export async function portThatCloses(): Promise<Driver> {
  const open = async (port: number): Promise<Server> => {
    const server = createServer((socket) => socket.on("error", () => undefined).end()).listen(port, ownAddress);
    await once(server, "listening");
    return server;
  };
  let server: Server | undefined = await open(0);
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    if (server === undefined) return;
    server.close();
    await once(server, "close");
    server = undefined;
  };
  return {
    options: { addresses: [`${ownAddress}:${port}`], ...asked },
    async change(number) {
      if (number % 2 === 0) await close();
      else server = await open(port);
      return [`tcp.${number % 2 === 0 ? "down" : "up"} ${ownAddress}:${port}`];
    },
    stop: close,
  };
}

/** A name server that answers every question with one address. */
export async function answersOfName(): Promise<Driver> {
  let last = 0;
  const socket = createSocket("udp4");
  socket.on("message", (question, { port, address }) => socket.send(answerTo(question, last), port, address));
  await new Promise<void>((resolve) => socket.bind(0, ownAddress, resolve));
  const server = `${ownAddress}:${socket.address().port}`;
  return {
    options: { names: ["soak.example.com"], servers: [server], watch: true, ...asked },
    keyOf: ({ type, data }) => `${type} ${String((data["after"] as string[] | undefined)?.[0])}`,
    begin: firstLook,
    change(number) {
      last = number % 2 === 0 ? 1 : 0;
      return [`dns.changed 192.0.2.${last}`];
    },
    stop: () => new Promise<void>((resolve) => socket.close(resolve)),
  };
}

/** RFC 1035: the question's header with the bits of an answer, the question itself, and one A record that points back to its name. */
function answerTo(question: Buffer, last: number): Buffer {
  const nameBegins = 12;
  const questionEnds = question.indexOf(0, nameBegins) + 5;
  const header = Buffer.from(question.subarray(0, nameBegins));
  header.writeUInt16BE(0x81_80, 2);
  header.writeUInt16BE(1, 6);
  header.writeUInt32BE(0, 8);
  const record = Buffer.from([0xc0, nameBegins, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, last]);
  return Buffer.concat([header, question.subarray(nameBegins, questionEnds), record]);
}

/** Containers of an engine that only tells of them. */
export async function containersOfEngine({ folder }: Place): Promise<Driver> {
  const engine = new FakeEngine(join(folder, "engine.sock"));
  const id = engine.make("web");
  await engine.start();
  return {
    options: { socket: join(folder, "engine.sock"), interval: "10s" },
    hears: true,
    keyOf: ({ type }) => type,
    change(number) {
      const dies = number % 2 === 0;
      engine.happen(id, dies ? "die" : "start", dies ? { exitCode: 1 } : {});
      return [`container.${dies ? "died" : "started"}`];
    },
    stop: () => engine.stop(),
  };
}

/** A service of a real systemd, on a host of its own. */
export async function serviceOfSystemd({ shared }: Place): Promise<Driver> {
  const host = new SystemdHost({ shared: shared.map((path) => `${path}:${path}`) });
  try {
    await host.boot();
    host.unit("driven.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n");
    host.run("systemctl", "start", "driven");
  } catch (error) {
    await host.end();
    throw error;
  }
  return {
    // So many ends in so short a time would be flapping.
    options: { units: ["driven"], for: "0s", flapping_restarts: 100, flapping_window: "1s" },
    keyOf: ({ type, subject }) => (subject === "driven.service" ? type : undefined),
    hears: true,
    delays: "systemctl runs first",
    host: { root: host.root, through: host.seen() },
    change(number) {
      host.run("systemctl", ...(number % 2 === 0 ? ["kill", "-s", "KILL", "driven"] : ["start", "driven"]));
      return [`service.${number % 2 === 0 ? "down" : "up"}`];
    },
    stop: () => host.end(),
  };
}

export function checkThatFlips({ folder }: Place): Driver {
  const state = join(folder, "state");
  writeFileSync(state, "0");
  return {
    options: { argv: ["/bin/sh", "-c", 'echo "state | value=1"; exit $(cat "$0")', state], interval: "500ms" },
    keyOf: ({ type }) => type,
    change(number) {
      writeFileSync(state, number % 2 === 0 ? "2" : "0");
      return [`check.${number % 2 === 0 ? "critical" : "ok"}`];
    },
  };
}

export function everyMinute(): Clockwork {
  return {
    options: { cron: "* * * * *", zone: "UTC" },
    keyOf: ({ type, data }) => `${type} ${String(data["due"])}`,
    dueOf: ({ data }) => Number(data["due"]),
    due(from, to) {
      const times: string[] = [];
      for (let time = Math.ceil(from / minuteMs) * minuteMs; time <= to; time += minuteMs) times.push(`schedule.due ${time}`);
      return times;
    },
  };
}
