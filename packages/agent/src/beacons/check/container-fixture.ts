/**
 * What the beacon meets of an engine, on a unix socket: the list of containers, one of them, and the stream of events with all that was since a
 * time. It is stopped and started again at will, and cuts what it sends where a line is not over.
 */
import { createServer, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

interface Made {
  id: string;
  name: string;
  image: string;
  labels: Record<string, string>;
  state: string;
  exitCode: number;
  unhealthy: boolean;
}

export class FakeEngine {
  readonly #socketPath: string;
  readonly #containers = new Map<string, Made>();
  #events: { time: number; line: string }[] = [];
  #streams = new Set<ServerResponse>();
  #sockets = new Set<Socket>();
  #server: ReturnType<typeof createServer> | undefined;
  #lastTime = 0;
  #made = 0;
  lists = 0;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  async start(): Promise<void> {
    this.#server = createServer(({ url }, response) => this.#answer(new URL(url!, "http://engine"), response));
    this.#server.on("connection", (socket) => this.#sockets.add(socket));
    await new Promise<void>((resolve) => this.#server!.listen(this.#socketPath, resolve));
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server?.close(resolve) ?? resolve(undefined));
    for (const socket of this.#sockets) socket.destroy();
    this.#streams.clear();
    this.#sockets.clear();
    await closed;
  }

  get isListenedTo(): boolean {
    return this.#streams.size > 0;
  }

  make(name: string, { image = "shop:1", labels = {}, unhealthy = false, state = "running" }: Partial<Made> = {}): string {
    const id = (++this.#made).toString(16).padStart(64, "0");
    this.#containers.set(id, { id, name, image, labels, state, exitCode: 0, unhealthy });
    return id;
  }

  /** What happens to one, told as the engine tells it; `quietly`: forgotten by the time that anybody asks. */
  happen(
    id: string,
    action: string,
    { exitCode, quietly = false, signal }: { exitCode?: number; quietly?: boolean; signal?: string } = {},
  ): void {
    const made = this.#containers.get(id)!;
    if (action === "start") made.state = "running";
    if (action === "die") Object.assign(made, { state: "exited", exitCode, unhealthy: false });
    if (action.startsWith("health_status: ")) made.unhealthy = action.endsWith("unhealthy");
    if (action === "destroy") this.#containers.delete(id);
    if (quietly) return;
    const code = exitCode === undefined ? {} : { exitCode: String(exitCode) };
    const attributes = { ...made.labels, ...code, ...(signal === undefined ? {} : { signal }), image: made.image, name: made.name };
    const time = (this.#lastTime = Math.max(this.#lastTime + 1_000, Date.now() * 1e6));
    const line = JSON.stringify({
      Type: "container",
      Action: action,
      Actor: { ID: id, Attributes: attributes },
      time: Math.floor(time / 1e9),
      timeNano: time,
    });
    this.#events.push({ time, line });
    for (const stream of this.#streams) this.#send(stream, line);
  }

  /** What a daemon that was started anew remembers. */
  forgetEvents(): void {
    this.#events = [];
  }

  sendRaw(text: string): void {
    for (const stream of this.#streams) stream.write(text);
  }

  /** In two pieces, as a socket may have them. */
  #send(stream: ServerResponse, line: string): void {
    stream.write(line.slice(0, 20));
    stream.write(`${line.slice(20)}\n`);
  }

  #answer({ pathname, searchParams }: URL, response: ServerResponse): void {
    const json = (value: unknown) => void response.setHeader("content-type", "application/json").end(JSON.stringify(value));
    const filters = JSON.parse(searchParams.get("filters") ?? "{}") as { health?: string[] };
    if (pathname === "/events") {
      const since = Number(searchParams.get("since")) * 1e9;
      response.writeHead(200).flushHeaders();
      for (const { time, line } of this.#events) if (time >= since) this.#send(response, line);
      this.#streams.add(response);
      return;
    }
    if (pathname === "/containers/json") {
      this.lists += 1;
      const all = [...this.#containers.values()].filter(({ unhealthy }) => filters.health === undefined || unhealthy);
      return json(
        all.map(({ id, name, image, labels, state }) => ({ Id: id, Names: [`/${name}`], Image: image, Labels: labels, State: state })),
      );
    }
    const made = this.#containers.get(/^\/containers\/([0-9a-f]+)\/json$/.exec(pathname)?.[1] ?? "");
    if (made === undefined) return void response.writeHead(404).end();
    json({ State: { ExitCode: made.exitCode, OOMKilled: false, Health: { Status: made.unhealthy ? "unhealthy" : "healthy" } } });
  }
}
