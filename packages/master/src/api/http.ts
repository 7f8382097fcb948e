/**
 * The HTTP server that the API's routes are hung into: each checks what it takes by its schema.
 */
import type { JsonSchemaToTsProvider } from "@fastify/type-provider-json-schema-to-ts";
import fastify from "fastify";

/** A route that takes more says so. */
const bodyBytesMax = 1_048_576;

/** Without routes. */
export function newServer() {
  return fastify({ logger: false, bodyLimit: bodyBytesMax, forceCloseConnections: true }).withTypeProvider<JsonSchemaToTsProvider>();
}
export type Server = ReturnType<typeof newServer>;
