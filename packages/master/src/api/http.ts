/**
 * The HTTP server without its routes: how errors look, what is hidden in every answer, and the parameters that routes share.
 */
import type { JsonSchemaToTsProvider } from "@fastify/type-provider-json-schema-to-ts";
import fastify, { type FastifyError } from "fastify";
import { type ErrorCode, errorText, NeedfireError } from "@needfire/shared/errors";
import { hideMarks } from "@needfire/shared/secret";

export type Server = ReturnType<typeof newServer>;

export const idParams = { type: "object", properties: { id: { type: "string", maxLength: 200 } }, required: ["id"] } as const;
export const nameParams = { type: "object", properties: { name: { type: "string", maxLength: 200 } }, required: ["name"] } as const;

/** A route that takes more says so. */
const bodyBytesMax = 1_048_576;

/** HTTP's word for each of our errors. */
const statusOf: Partial<Record<ErrorCode, number>> = {
  NOT_FOUND: 404,
  CONFLICT: 409,
  NOT_YOURS: 403,
  BAD_REQUEST: 400,
  EXPRESSION_INVALID: 400,
  DISK_FULL: 507,
};

/** Without routes. `mask`: takes the values of secrets out of a text that is shown. */
export function newServer(mask: (text: string) => string = (text) => text) {
  const server = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    forceCloseConnections: true,
  }).withTypeProvider<JsonSchemaToTsProvider>();

  // Whatever is shown, where a secret stood nobody sees even its mark; and what came in before it was known as one is in the journal as it came.
  server.addHook("onSend", async (_request, _reply, payload) => (typeof payload === "string" ? mask(hideMarks(payload)) : payload));

  server.setErrorHandler((error: FastifyError | NeedfireError, _request, reply) => {
    const code = error instanceof NeedfireError ? error.code : "validation" in error && error.validation ? "BAD_REQUEST" : undefined;
    const status = code === undefined ? ("statusCode" in error ? (error.statusCode ?? 500) : 500) : (statusOf[code] ?? 500);
    void reply.status(status).send({ error: { code: code ?? "INTERNAL", message: errorText(error) } });
  });
  server.setNotFoundHandler((request, reply) => {
    void reply.status(404).send({ error: { code: "NOT_FOUND", message: `there is no ${request.method} ${request.url}` } });
  });
  return server;
}
