/**
 * The master's wiring: the only place that constructs its parts and ties them together. What is built last is taken down first, and a
 * start that fails half-way takes down what it had built.
 */
import { mkdirSync } from "node:fs";
import { hostname, totalmem } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { monotonicClock, systemClock } from "@needfire/shared/clock";
import type { MasterConfig } from "@needfire/shared/config";
import { durationMs } from "@needfire/shared/duration";
import { masterAgent } from "@needfire/shared/ids";
import { errorText, NeedfireError } from "@needfire/shared/errors";
import { fingerprint, formatJoinString } from "@needfire/shared/identity";
import type { MasterEventDraft } from "@needfire/shared/task";
import { type Problem, problemText } from "@needfire/shared/yaml-file";
import { AfterStorm } from "./after-storm.ts";
import { Agents } from "./agents.ts";
import { Feed } from "./api/feed.ts";
import { startApi } from "./api/server.ts";
import { ByHand } from "./by-hand.ts";
import { Clones } from "./clones.ts";
import type { Commit } from "./commit.ts";
import { withContent } from "./command-content.ts";
import { Dispatch } from "./dispatch.ts";
import type { Engine, EngineNotice, EngineOptions } from "./engine.ts";
import { Intake } from "./intake.ts";
import { loadKeyPair } from "./key-file.ts";
import { Keys } from "./keys.ts";
import { Maintenance } from "./maintenance.ts";
import { MarkPost } from "./mark-post.ts";
import { Leases } from "./leases.ts";
import { OwnExecutor } from "./own-executor.ts";
import { generateKeyPair, Link } from "./link.ts";
import { masterDefinitions, reloadEvents } from "./master-definitions.ts";
import { MemoryGuard } from "./memory-guard.ts";
import { PastSecrets } from "./past-secrets.ts";
import { Presence } from "./presence.ts";
import { replaceFile } from "./replace-file.ts";
import { loadNonce, Secrets } from "./secrets.ts";
import { Sessions } from "./sessions.ts";
import { Sieve } from "./sieve.ts";
import { type Remote, startThread } from "./thread.ts";
import { checkRollback, type Rollback } from "./versions.ts";
import { watchDefinitions } from "./watch-definitions.ts";
import type { History, HistoryNotice, HistoryOptions } from "./worker-history.ts";
import { startZap } from "./zap.ts";

const masterVersion = "0.1.0";

export interface RunningMaster {
  readonly address: string;
  readonly joinString: string;
  /** Reads reactors, beacons and managed files again; resolves with what is wrong in them. */
  reload(): Promise<Problem[]>;
  /** A text, such as a line of the log, without the values of secrets. */
  maskShown(text: string): string;
  stop(): Promise<void>;
}

/** At most; with short heartbeats twice in each of them. */
const tickMs = 1_000;

/** `onFatal`: a part without which the master cannot go on has failed. Throws `ADDRESS_IN_USE`, `STATE_LOCKED`, `STATE_UNSAFE`. */
export async function startMaster(config: MasterConfig, log: Logger, onFatal: (error: Error) => void): Promise<RunningMaster> {
  const teardown: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (const end of teardown.splice(0).toReversed()) await end();
  };
  try {
    return { ...(await build({ config, log, onFatal, teardown })), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Building {
  config: MasterConfig;
  log: Logger;
  onFatal(error: Error): void;
  teardown: (() => Promise<void> | void)[];
}

async function build({ config, log, onFatal, teardown }: Building): Promise<Omit<RunningMaster, "stop">> {
  const clock = systemClock();
  const monotonic = monotonicClock();
  const heartbeatMs = durationMs(config.heartbeat);
  const risesAfterMs = durationMs(config.rises_after);
  const started = clock.now();
  mkdirSync(config.state, { recursive: true, mode: 0o700 });
  const own = loadKeyPair(join(config.state, "master.key"), generateKeyPair);

  const nonce = loadNonce(join(config.state, "secret-marks"));
  const { engine, history } = await startThreads({ config, log, onFatal, teardown }, { started, nonce }, (notice) => hear(notice));
  const known = await engine.state();
  const background = (work: Promise<unknown>) => {
    work.catch((error: unknown) => log.error({ error: errorText(error) }, "something could not be kept"));
  };
  const marks = new MarkPost((all) => background(engine.mark(all)));
  const commit: Commit = (writes) => {
    marks.flush();
    return engine.commit(writes);
  };
  /** Why the disk takes nothing at the moment. */
  let full: string | undefined;
  const feed = new Feed(
    (wanted) => background(engine.watch(wanted)),
    (text) => secrets.maskShown(text),
  );
  const tell = (event: MasterEventDraft) => background(engine.tell([event]));

  const pastFile = join(config.state, "secrets-past");
  const past = new PastSecrets({ file: pastFile, key: own.secretKey, keepMs: durationMs(config.journal_keep), log });
  const secrets = new Secrets({ nonce, past, log });
  const definitions = masterDefinitions(config, log, secrets);
  const keys = new Keys(
    {
      enrolment: config.enrolment,
      pendingMax: config.pending_max,
      commit,
      clock,
      onChange: (key) => {
        tellHosts([key.id]);
        sessions.keyChanged(key);
      },
    },
    known,
  );
  const agents: Agents = new Agents(
    {
      keys,
      commit,
      clock,
      monotonic,
      beacons: () => definitions.beacons.all(),
      files: () => definitions.files.all(),
      send: (session, message) => sessions.send(session, message),
      onView: (views) => tellHosts(views.map(({ id }) => id)),
      onReady: (agent) => {
        // What takes it back goes before what is done.
        leases.resume(agent);
        dispatch.resume(agent);
      },
      isMarked: (agent) => dispatch.isMarked(agent),
      onUnsendable: ({ agent }, reason) => {
        log.error({ agent }, reason);
        tell({ type: "agent.overfull", severity: "high", subject: agent, data: { agent, reason } });
      },
    },
    known.agents,
  );
  /** What conditions see of them, and whether rollouts may be for them. */
  const tellHosts = (ids: string[]) => {
    const { accepted = [], others = [] } = Object.groupBy(ids, (id) => (keys.acceptedFor(id) === undefined ? "others" : "accepted"));
    if (accepted.length > 0) {
      background(engine.setAgents(accepted.map((id) => agents.view(id))));
      background(engine.setHosts(accepted, true));
    }
    if (others.length > 0) background(engine.setHosts(others, false));
  };
  const presence = new Presence(
    {
      clock,
      monotonic,
      heartbeatMs,
      isKnown: (agent) => keys.acceptedFor(agent) !== undefined,
      keep: (changes, events) => background(agents.keepPresence(changes, events)),
    },
    known.agents,
  );
  const sessionOf = (agent: string) => {
    const session = sessions.of(agent);
    return session !== undefined && agents.isReady(session) ? session : undefined;
  };
  const leases = new Leases(
    {
      sessionOf,
      send: (session, message, urgent) => sessions.send(session, message, urgent),
      reveal: (args) => secrets.reveal(args),
      answer: (answers) => background(engine.answerLeases(answers)),
      clock,
      monotonic,
    },
    known.offers,
  );
  const dispatch = new Dispatch(
    {
      sessionOf,
      epochOf: (agent) => agents.get(agent)?.epoch,
      // With less a power cut may take back that it is not any more.
      isSettled: (agent) => config.synchronous === "FULL" && agents.isSettled(agent),
      send: (session, message, urgent) => sessions.send(session, message, urgent),
      reveal: (args, action) => withContent(secrets.reveal(args), action, definitions.files),
      mark: (some) => marks.add(some),
      clock,
      monotonic,
      expiresMs: durationMs(config.execution_expires),
      limits: { commandsMax: config.commands_max, perAgentMax: config.commands_per_agent_max, risesAfterMs },
      onBacklog: ({ waiting, given }) => tell({ type: "master.backlog", severity: "normal", data: { waiting, given } }),
    },
    known.openExecutions.filter(({ agent }) => agent !== masterAgent),
  );
  const maintenance = new Maintenance({
    records: () => agents.records(),
    record: (agent) => agents.get(agent),
    keep: (record, events) => agents.keep(record, events),
    put: (record) => agents.put(record),
    silences: { add: (wish) => engine.silence(wish), end: (id, by) => engine.endSilence(id, by) },
    send: (session, message) => sessions.send(session, message),
    clock,
    monotonic,
  });
  const executor = new OwnExecutor({
    commit,
    reveal: (args) => secrets.reveal(args),
    mask: (value) => secrets.mask(value),
    context: {
      allowed: {
        commands: config.commands_local,
        env: config.commands_local_env,
        at: { file: "master.yaml", commands: "commands_local", env: "commands_local_env" },
      },
      maintenance,
    },
    userActions: definitions.actions,
    clock,
    monotonic,
    log,
    expiresMs: durationMs(config.execution_expires),
    risesAfterMs,
  });
  teardown.push(() => executor.stop());
  const sieve = new Sieve({ reactors: () => definitions.index(), agentView: (id) => agents.view(id) });
  const intake = new Intake({
    take: (frames, urgent) => {
      marks.flush();
      return engine.take(frames, urgent);
    },
    mask: (frame) => secrets.maskFrame(frame),
    sieve: (agent, frame) => sieve.look(agent, frame),
    send: (session, message) => void sessions.send(session, message),
    isOpen: (session) => sessions.of(session.agent) === session,
    sessions: () => sessions.count,
    clock,
    log,
    creditEvents: config.credit_events,
  });
  const clones = new Clones();
  const storm = new AfterStorm();
  teardown.push(() => storm.stop());
  const sessions: Sessions = new Sessions({
    keys,
    own,
    link: () => link,
    heartbeatMs,
    creditEvents: () => intake.credit(),
    clock,
    log,
    marks: (agent, epoch) => engine.marks(agent, epoch),
    onEvents: (session, lane, frame) => intake.take(session, lane, frame),
    handlers: {
      facts: (session, body) => {
        background(agents.reported(session, body));
        presence.reported(session, body.spooled ?? 0);
        maintenance.reported(session);
      },
      restated: (session, { id }) => background(maintenance.restated(session.agent, id)),
      accepted: (session, { execution }) => dispatch.accepted(session.agent, execution),
      leased: (session, body) => leases.answered(session, body),
      taken: (session, body) => agents.taken(session, body),
      blobGet: (session, { digest, offset }) => {
        const piece =
          agents.mayHave(session, digest) || dispatch.brings(session.agent, digest) ? definitions.files.read(digest, offset) : undefined;
        sessions.send(session, {
          kind: "blob",
          body: { digest, offset, total: piece?.total ?? -1, bytes: piece?.bytes ?? Buffer.alloc(0) },
        });
      },
    },
    onOpen: (session) => {
      const { agent } = session;
      presence.opened(session);
      storm.came();
      tell({ type: "agent.connected", severity: "low", subject: agent, data: { agent } });
    },
    onClose: (session, reason) => {
      background(agents.left(session));
      presence.closed(session, reason);
      dispatch.left(session.agent);
      tell({ type: "agent.disconnected", severity: "normal", subject: session.agent, data: { agent: session.agent, reason } });
    },
    onOtherNumbering: (agent) => {
      if (!clones.tookOver(agent, monotonic.now())) return;
      const reason = "two machines use this agent's key and state, and take the session from each other: give one of them a key of its own";
      log.error({ agent }, reason);
      tell({ type: "agent.cloned", severity: "high", subject: agent, data: { agent, reason } });
    },
  });
  const hear = (notice: EngineNotice | HistoryNotice) => {
    if (notice.kind === "damaged") return background(engine.partitionDamaged(notice.partition, notice.reason));
    if (notice.kind === "log") return log[notice.level](notice.facts, notice.message);
    if (notice.kind === "committed") return feed.publish(notice.events, notice.missed);
    if (notice.kind === "full") return void (full = notice.error);
    for (const offer of notice.lend) leases.lend(offer);
    for (const execution of notice.ended) {
      leases.begun(execution);
      dispatch.ended(execution);
    }
    const unwanted = new Set(notice.stop);
    for (const execution of notice.start) {
      leases.begun(execution.id);
      if (execution.agent === masterAgent) executor.start(execution);
      else dispatch.start(execution, { cancelled: unwanted.has(execution.id) });
    }
    for (const execution of notice.stop) {
      executor.cancel(execution);
      background(engine.expire(dispatch.cancel(execution)));
    }
  };

  const loadRules = async (): Promise<Problem[]> => {
    const { reloaded, problems } = definitions.reload(await engine.readRules());
    secrets.settle(clock.now());
    // In one go with the sieve: what was looked at with the old rules is known to have been.
    const enforced = engine.enforceRules();
    await Promise.all([enforced, history.setRules(definitions.ruleFiles())]);
    for (const event of reloadEvents(reloaded)) tell(event);
    for (const problem of problems) log.error(problemText(problem));
    for (const session of sessions.all()) agents.push(session);
    watching.watcher?.also(definitions.paths());
    background(engine.keepVersions());
    return problems;
  };
  /** One after the other: what the engine has read last is what comes into force. */
  let reloading: Promise<unknown> = Promise.resolve();
  const reload = (): Promise<Problem[]> => {
    const loading = reloading.then(loadRules);
    reloading = loading.catch(() => {});
    return loading;
  };
  const rollBack = async ({ reactor, file, from, to }: Rollback, by: string) => {
    checkRollback({ file, text: await history.check(file, to.text), reactors: definitions.index().reactors });
    // So that the way back can be gone back, too.
    await engine.keepVersions();
    replaceFile(file, { expected: from.text, text: to.text });
    const problems = (await reload()).filter((problem) => problem.file === file);
    await engine.keepVersions();
    const [versionBefore, versionAfter] = [from, to].map(({ version, digest }) => version ?? digest.slice(0, 12));
    const data = { reactor, file, from: versionBefore, to: versionAfter, by };
    tell({ type: "reactor.rolled_back", severity: "normal", subject: reactor, data });
    if (problems[0] !== undefined)
      throw new NeedfireError("CONFLICT", `the file was written, and is not in force: ${problemText(problems[0])}`);
  };
  const watching: { watcher?: ReturnType<typeof watchDefinitions> } = {};
  await reload();

  await engine.setAgents(agents.views());
  tellHosts(keys.list().map(({ id }) => id));
  // Before anything can be cancelled.
  executor.resume(known.openExecutions.filter(({ agent }) => agent === masterAgent));
  await engine.start();

  const zap = await startZap((publicKey) => keys.mayConnect(publicKey), log);
  teardown.push(() => zap.stop());
  const link: Link = new Link({
    listen: config.listen,
    keys: own,
    handshakeTimeoutMs: durationMs(config.handshake_timeout),
    log,
    onFrame: (routingId, frame) => sessions.hear(routingId, frame),
    onUndelivered: (routingId, reason) => {
      if (reason === "gone") return sessions.gone(routingId);
      const session = sessions.at(routingId);
      if (session === undefined) return;
      dispatch.slow(session.agent);
      agents.slow(session);
    },
  });
  const port = await link.start();
  teardown.push(() => link.stop());

  const guard = new MemoryGuard({
    limit: config.memory_max ?? totalmem() / 2,
    resident: () => process.memoryUsage.rss(),
    drop: async () => {
      for (const session of sessions.all()) sessions.close(session, "the master dropped all connections to get its memory back");
      await link.reset();
    },
    tell: (data) => {
      log.error(data, "all connections were dropped: a peer filled the memory, or memory_max is too small");
      tell({ type: "master.memory", severity: "critical", data });
    },
  });
  const timer = setInterval(
    () => {
      guard.check(monotonic.now()).catch((error: unknown) => onFatal(error as Error));
      sessions.tick(monotonic.now());
      presence.tick();
      background(agents.tick(sessions.all()));
      background(maintenance.tick((agent) => sessions.of(agent)));
      leases.tick();
      const expired = dispatch.tick();
      if (expired.length > 0) background(engine.expire(expired));
    },
    Math.min(tickMs, heartbeatMs / 2),
  );
  teardown.push(() => clearInterval(timer));

  const watcher = watchDefinitions(
    definitions.paths(),
    () => background(reload()),
    (error) => log.error({ error: errorText(error) }, "definitions cannot be watched: SIGHUP reads them again"),
  );
  teardown.push(() => watcher.stop());
  await watcher.ready;
  watching.watcher = watcher;

  const byHand = new ByHand({
    agents: {
      ids: () => keys.list().flatMap(({ id, state }) => (state === "accepted" ? [id] : [])),
      view: (id) => agents.view(id),
      isConnected: (id) => sessions.of(id) !== undefined,
    },
    engine,
    history,
    secrets,
    userActions: definitions.actions,
  });
  const address = config.advertise ?? `${advertisedHost(config.listen)}:${port}`;
  const api = await startApi({
    socket: config.socket,
    version: masterVersion,
    started,
    address,
    masterKey: own.publicKey,
    enrolment: config.enrolment,
    keys,
    sessions,
    agents,
    presence,
    dispatch,
    history,
    database: join(config.state, "master.db"),
    say: (spoken) => engine.say(spoken),
    orderRollout: (order) => engine.orderRollout(order),
    emit: ({ subject, data, ...event }) =>
      engine.emit({ ...event, ...(subject === undefined ? {} : { subject: secrets.mask(subject) }), data: secrets.mask(data) }),
    mask: (text) => secrets.maskShown(text),
    byHand,
    userActions: definitions.actions,
    engine,
    rollBack,
    sources: () => definitions.ruleFiles().reactors,
    feed,
    clock,
    reactors: () => definitions.index(),
    router: () => definitions.ruleFiles().router,
    beacons: () => definitions.beacons.all(),
    maintenance,
    beaconProblems: () => definitions.beacons.problems(),
    counts: () => ({ beacons: definitions.beacons.all().length, files: definitions.files.all().length }),
    problems: () => [...(full === undefined ? [] : [diskProblem(config.state, full)]), ...definitions.problems()],
    reload,
  });
  teardown.push(() => api.stop());
  log.info({ address, fingerprint: fingerprint(own.publicKey), socket: config.socket, state: config.state }, "the master is ready");
  return {
    address,
    joinString: formatJoinString({ address, masterKey: own.publicKey }),
    reload,
    maskShown: (text) => secrets.maskShown(text),
  };
}

/** The engine, which writes, and history, which reads: a thread each. */
async function startThreads(
  { config, onFatal, teardown }: Building,
  { started, nonce }: { started: number; nonce: string },
  onNotice: (notice: EngineNotice | HistoryNotice) => void,
): Promise<{ engine: Remote<Engine>; history: Remote<History> }> {
  const {
    state,
    synchronous,
    journal_keep: journalKeep,
    journal_bytes_max: bytesMax,
    journal_partition_events: partitionEventsMax,
  } = config;
  const module = (file: string) => new URL(file, import.meta.url);
  const engine = await startThread<Engine>({
    module: module("./worker-engine.ts"),
    options: {
      state,
      synchronous,
      retention: { keepMs: durationMs(journalKeep), bytesMax },
      partitionEventsMax,
      rules: { reactors: config.reactors, router: config.router, nonce },
      risesAfterMs: durationMs(config.rises_after),
      guardMs: durationMs(config.undo_guard),
      now: started,
    } satisfies EngineOptions,
    onNotice: (notice) => onNotice(notice as EngineNotice),
    onDeath: onFatal,
  });
  teardown.push(engine.stop);
  const options: HistoryOptions = { file: join(state, "master.db"), nonce };
  const history = await startThread<History>({
    module: module("./worker-history.ts"),
    options,
    onNotice: (notice) => onNotice(notice as HistoryNotice),
    onDeath: onFatal,
  });
  teardown.push(history.stop);
  return { engine: engine.remote, history: history.remote };
}

function diskProblem(state: string, error: string): Problem {
  return { file: join(state, "master.db"), line: 1, column: 1, message: `the disk takes nothing (${error}): agents keep their events` };
}

function advertisedHost(listen: string): string {
  const host = /^tcp:\/\/(.+):[^:]+$/.exec(listen)?.[1] ?? "*";
  return host === "*" || host === "0.0.0.0" ? hostname() : host;
}
