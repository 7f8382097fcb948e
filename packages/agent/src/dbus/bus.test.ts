/** Against a real message bus of our own, and against sockets that are none. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { type Bus, connectBus, DbusError } from "./bus.ts";
import type { Message } from "./message.ts";

const skip = hasDaemon() ? false : "needs dbus-daemon";
const peer = "org.needfire.Test";
const call = { destination: peer, path: "/a", interface: peer };

function hasDaemon(): boolean {
  try {
    execFileSync("dbus-daemon", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

async function daemon(t: TestContext): Promise<{ socket: string; process: ChildProcess }> {
  const dir = mkdtempSync(join(tmpdir(), "needfire-bus-"));
  const socket = join(dir, "bus");
  const policy = '<allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/>';
  writeFileSync(
    join(dir, "conf"),
    `<busconfig><type>session</type><listen>unix:path=${socket}</listen><auth>EXTERNAL</auth>
     <policy context="default">${policy}</policy></busconfig>`,
  );
  const program = spawn("dbus-daemon", ["--nofork", "--print-address", `--config-file=${dir}/conf`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => {
    program.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });
  await once(program.stdout, "data");
  return { socket, process: program };
}

async function connected(t: TestContext, socket: string, more: { onCall?: (bus: Bus, message: Message) => void } = {}) {
  const stop = new AbortController();
  const signals: Message[] = [];
  const heard = Promise.withResolvers<Message>();
  const closed = Promise.withResolvers<Error>();
  t.after(() => stop.abort());
  const bus: Bus = await connectBus({
    ...{ socket, signal: stop.signal, onClose: closed.resolve },
    onSignal: (message) => {
      signals.push(message);
      if (message.interface === peer) heard.resolve(message);
    },
    onCall: (message) => more.onCall?.(bus, message),
  });
  return { bus, signals, heard: heard.promise, closed: closed.promise };
}

const requestName = {
  ...{ destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus", member: "RequestName" },
  ...{ signature: "su", body: [peer, 0] },
};

test("calls, errors and signals over a real bus", { skip }, async (t) => {
  const { socket } = await daemon(t);
  const { bus: server } = await connected(t, socket, {
    onCall: (bus, { member, sender = "", serial, body }) => {
      const answer = { destination: sender, replySerial: serial, signature: "s" };
      if (member === "Echo") bus.send({ type: "return", ...answer, body });
      else bus.send({ type: "error", ...answer, errorName: `${peer}.Bad`, body: ["no such thing"] });
    },
  });
  await server.call(requestName);
  const { bus, heard, signals } = await connected(t, socket);
  const long = "x".repeat(1_000_000);
  assert.deepEqual(await bus.call({ ...call, member: "Echo", signature: "s", body: [long] }), [long]);
  await assert.rejects(bus.call({ ...call, member: "Other" }), (error: unknown) => {
    assert.ok(error instanceof DbusError);
    assert.equal(error.message, "org.needfire.Test.Bad: no such thing");
    return true;
  });
  await assert.rejects(bus.call({ ...call, destination: "org.needfire.Nobody", member: "Echo" }), /ServiceUnknown/);
  await bus.match(`type='signal',interface='${peer}'`);
  server.send({ type: "signal", path: "/a", interface: "org.other", member: "Happened", body: [] });
  server.send({ type: "signal", path: "/a", interface: peer, member: "Happened", signature: "u", body: [7] });
  assert.deepEqual((await heard).body, [7]);
  assert.equal(signals.filter(({ interface: from }) => from === "org.other").length, 0, "a signal that no rule fits came");
});

test("a bus that ends ends the connection, and what waits for an answer", { skip }, async (t) => {
  const { socket, process: program } = await daemon(t);
  const { bus: silent } = await connected(t, socket);
  await silent.call(requestName);
  const { bus, closed } = await connected(t, socket);
  const unanswered = bus.call({ ...call, member: "Anything" });
  program.kill("SIGKILL");
  await assert.rejects(unanswered, /closed the connection|ECONNRESET/);
  assert.ok((await closed) instanceof Error);
  await assert.rejects(bus.call({ ...call, member: "Anything" }));
});

test("what is no bus, is rude or says nothing sensible is an error that says so", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "needfire-bus-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const connecting = (path: string) =>
    connectBus({ socket: path, signal: new AbortController().signal, onSignal: () => undefined, onClose: () => undefined });
  await assert.rejects(connecting(join(dir, "none")), /cannot connect to the message bus at/);
  const rude = async (name: string, answer: (socket: Socket) => void) => {
    const server = createServer((socket) => socket.once("data", () => answer(socket)).on("error", () => undefined));
    t.after(() => server.close());
    await once(server.listen(join(dir, name)), "listening");
    return connecting(join(dir, name)).then(
      () => assert.fail("connected"),
      (error: Error) => (error.cause as Error).message,
    );
  };
  assert.match(await rude("rejecting", (socket) => socket.write("REJECTED EXTERNAL\r\n")), /does not let us in: REJECTED/);
  assert.match(await rude("endless", (socket) => socket.write("x".repeat(10_000))), /has no end/);
  assert.match(await rude("closing", (socket) => socket.end()), /closed the connection/);
  assert.match(await rude("garbage", (socket) => socket.write(`OK 1234\r\n${"garbage, and more of it".repeat(10)}`)), /no byte order/);
});
