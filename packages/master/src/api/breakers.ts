/** The API's routes about breakers: remedies that are not tried any more, until a person says so. */
import * as schemas from "@needfire/shared/api";
import type { BreakerView } from "@needfire/shared/api";
import { isoTime } from "@needfire/shared/clock";
import { NeedfireError } from "@needfire/shared/errors";
import { type Tripped, valueText } from "../breakers.ts";
import type { Engine } from "../engine.ts";
import type { Remote } from "../thread.ts";
import { nameParams, type Server } from "./http.ts";

export interface BreakerRoutes {
  engine: Pick<Remote<Engine>, "breakers" | "resetBreaker">;
}

export function breakerRoutes(server: Server, { engine }: BreakerRoutes): void {
  server.get("/v1/breakers", { schema: { response: { 200: schemas.breakersView } } }, async () => ({
    breakers: (await engine.breakers()).map(breakerView),
  }));
  const reset = { params: nameParams, body: schemas.breakerResetRequest, response: { 200: schemas.breakersView } };
  server.post("/v1/breakers/:name/reset", { schema: reset }, async ({ params: { name }, body: { key, by, why } }) => {
    const breakers = await engine.resetBreaker({ reactor: name, key, by, why });
    if (breakers.length > 0) return { breakers: breakers.map(breakerView) };
    const of = key === undefined ? "" : ` for the key ${key.join(" ")}`;
    throw new NeedfireError("NOT_FOUND", `no breaker of ${name}${of} has tripped (needfire breakers list)`);
  });
}

function breakerView({ reactor, key, trip: { at, why, tasks, held } }: Tripped): BreakerView {
  return { reactor, ...(key === undefined ? {} : { key: key.map(valueText) }), since: isoTime(at), why, tasks, held };
}
