/** The API's routes about silences. */
import * as schemas from "@needfire/shared/api";
import type { SilenceView } from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import type { Engine } from "../engine.ts";
import type { SilenceRecord } from "../store/store.ts";
import type { Remote } from "../thread.ts";
import { idParams, type Server } from "./http.ts";

export interface SilenceRoutes {
  engine: Pick<Remote<Engine>, "silence" | "endSilence" | "silences">;
}

export function silenceRoutes(server: Server, { engine }: SilenceRoutes): void {
  server.get("/v1/silences", { schema: { response: { 200: schemas.silencesView } } }, async () => ({
    silences: (await engine.silences()).map(silenceView),
  }));
  server.post("/v1/silences", { schema: { body: schemas.silenceRequest, response: { 200: schemas.silenceView } } }, async ({ body }) => {
    const { reactor, agent, for_ms: forMs, why, by } = body;
    return silenceView(await engine.silence({ reactor, agent, forMs, why, by }));
  });
  const remove = { params: idParams, body: schemas.byRequest, response: { 200: schemas.silenceView } };
  server.post("/v1/silences/:id/remove", { schema: remove }, async ({ params, body }) =>
    silenceView(await engine.endSilence(params.id, body.by)),
  );
}

function silenceView({ id, reactor, agent, since, until, why, by, held }: SilenceRecord): SilenceView {
  return {
    id,
    ...(reactor === undefined ? {} : { reactor }),
    ...(agent === undefined ? {} : { agent }),
    since: isoTime(since),
    until: isoTime(until),
    why,
    by,
    held,
  };
}
