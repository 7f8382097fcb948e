/**
 * The API's routes about reactors: those in force with what they did, their versions, and the way back to one.
 */
import * as schemas from "@needfire/shared/api";
import type { ReactorVersionView } from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import { NeedfireError } from "@needfire/shared/errors";
import type { Problem } from "@needfire/shared/yaml-file";
import type { Engine } from "../engine.ts";
import type { KnownReactor } from "../known-reactor.ts";
import type { Remote } from "../thread.ts";
import { type FileInForce, planRollback, type ReactorVersion, type Rollback, versionNamed, versionsOf, withPresent } from "../versions.ts";
import type { History } from "../worker-history.ts";
import { nameParams, type Server } from "./http.ts";
import { reactorView } from "./views.ts";
import type { ReactorIndex } from "@needfire/shared/rules/reactor-index";

export interface ReactorRoutes {
  engine: Pick<Remote<Engine>, "setAside">;
  history: Pick<Remote<History>, "reactorCounts" | "versionsOf">;
  reactors(): ReactorIndex<KnownReactor>;
  /** The files of reactors that are in force. */
  sources(): readonly FileInForce[];
  problems(): Problem[];
  clock: { now(): number };
  /** Resolves when the earlier text is in force. Throws `CONFLICT`, `DISK_FULL`. */
  rollBack(rollback: Rollback, by: string): Promise<void>;
}

export function reactorRoutes(server: Server, { engine, history, reactors, sources, problems, clock, rollBack }: ReactorRoutes): void {
  const named = (name: string) => reactors().reactors.find((reactor) => reactor.name === name);
  const versions = async (name: string) => {
    const files = sources();
    const kept = versionsOf(name, await history.versionsOf(name), files);
    return withPresent(kept, { reactor: named(name), files, now: clock.now() });
  };
  const inForce = async (name: string) => {
    const reactor = named(name);
    if (reactor === undefined) return undefined;
    const [counts, setAside] = await Promise.all([history.reactorCounts(), engine.setAside()]);
    return reactorView(reactor, { counts: counts.find((each) => each.reactor === name), setAside });
  };

  server.get("/v1/reactors", { schema: { response: { 200: schemas.reactorsView } } }, async () => {
    const [counted, setAside] = await Promise.all([history.reactorCounts(), engine.setAside()]);
    const counts = new Map(counted.map((each) => [each.reactor, each]));
    const views = reactors().reactors.map((reactor) => reactorView(reactor, { counts: counts.get(reactor.name), setAside }));
    return { reactors: views, problems: problems() };
  });

  const show = { params: nameParams, querystring: schemas.reactorQuery, response: { 200: schemas.reactorShowView } };
  server.get("/v1/reactors/:name", { schema: show }, async ({ params: { name }, query: { version } }) => {
    const kept = await versions(name);
    const wanted = version === undefined ? (kept.find((each) => each.inForce) ?? kept[0]) : versionNamed(version, kept, name);
    if (wanted === undefined) throw new NeedfireError("NOT_FOUND", `there is no reactor "${name}" (needfire reactors list)`);
    const reactor = await inForce(name);
    return { ...(reactor === undefined ? {} : { reactor }), version: versionView(wanted), text: wanted.text };
  });

  const list = { params: nameParams, response: { 200: schemas.reactorVersionsView } };
  server.get("/v1/reactors/:name/versions", { schema: list }, async ({ params: { name } }) => {
    const kept = await versions(name);
    if (kept.length === 0) throw new NeedfireError("NOT_FOUND", `there is no reactor "${name}" (needfire reactors list)`);
    return { reactor: name, versions: kept.map(versionView) };
  });

  const back = { params: nameParams, body: schemas.rollbackRequest, response: { 200: schemas.rollbackView } };
  server.post("/v1/reactors/:name/rollback", { schema: back }, async ({ params: { name }, body }) => {
    const { to, from, by, dry_run: dryRun } = body;
    const rollback = planRollback(name, to, await versions(name));
    if (from !== undefined && rollback.from.digest !== from)
      throw new NeedfireError("CONFLICT", `${rollback.file} has changed meanwhile: look at it again`);
    if (!dryRun) await rollBack(rollback, by);
    return {
      reactor: name,
      file: rollback.file,
      from: versionView(rollback.from),
      to: versionView(rollback.to),
      text_before: rollback.from.text,
      text_after: rollback.to.text,
      done: !dryRun,
    };
  });
}

function versionView({ version, file, digest, since, inForce }: ReactorVersion): ReactorVersionView {
  return { ...(version === undefined ? {} : { version }), file, file_version: digest, since: isoTime(since), in_force: inForce };
}
