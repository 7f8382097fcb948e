import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { temporaryDirectory } from "../fixture.ts";
import { batch, databaseFile, numbered } from "../journal/journal-fixture.ts";
import { JournalWriter } from "../journal/sqlite.ts";
import { Database } from "../store/database.ts";
import { StoreWriter } from "../store/sqlite.ts";
import { newServer } from "./http.ts";
import { replayRoute } from "./replay.ts";

const now = 2_000_000;
const files = [{ file: "r.yaml", text: "name: all\non: test.*\ndo: [{ event.emit: { type: site.noticed } }]\n" }];

function serverOf(t: TestContext) {
  const database = new Database({ file: databaseFile(temporaryDirectory(t)), synchronous: "NORMAL" });
  const store = new StoreWriter(database, { now });
  const journal = new JournalWriter(database);
  journal.append([batch([numbered(1), numbered(2)], { received: now - 1_000 })]);
  const server = newServer();
  replayRoute(server, { database: database.file, clock: { now: () => now }, router: () => undefined, mask: (text) => text });
  t.after(async () => {
    await server.close();
    store.close();
  });
  return (body: object) => server.inject({ method: "POST", url: "/v1/replay", payload: body });
}

test("a replay is a stream of lines that ends with a summary", async (t) => {
  const { body, statusCode } = await serverOf(t)({ files, since: "1h" });
  assert.equal(statusCode, 200);
  const lines = body
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { kind: string });
  assert.deepEqual(
    lines.map(({ kind }) => kind),
    ["firing", "firing", "progress", "summary"],
  );
});

test("a secret is stars in a replay, too", async (t) => {
  const text =
    "name: all\non: test.*\nvars: { token: { env: PATH, secret: true } }\ndo: [{ command.run: { argv: [send, '${{ vars.token }}'] } }]\n";
  const { body } = await serverOf(t)({ files: [{ file: "r.yaml", text }], since: "1h" });
  const [firing] = body.split("\n");
  assert.deepEqual((JSON.parse(firing!) as { do: { args: { argv: string[] } }[] }).do[0]!.args.argv, ["send", "***"]);
});

test("what cannot be replayed is refused before the stream begins", async (t) => {
  const ask = serverOf(t);
  assert.match((await ask({ files: [{ file: "bad.yaml", text: "name: x\n" }], since: "1h" })).body, /bad\.yaml:1:/);
  assert.match((await ask({ files, since: "soon" })).body, /--since soon: expected a duration/);
  assert.match((await ask({ files, since: "1h", until: "2h" })).body, /--since is later than --until/);
  assert.equal((await ask({ files: [], since: "1h" })).statusCode, 400);
});
