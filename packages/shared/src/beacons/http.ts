/** The `http` beacon: options and events. */
import type { JSONSchema } from "json-schema-to-ts";
import { pattern, patternProblem } from "../pattern.ts";
import {
  connectionReasons,
  family,
  reachabilityContradiction,
  reachabilityEvents,
  reachabilityOptions,
  targetsMax,
  timings,
  tlsProperties,
  twice,
} from "./reachability.ts";
import { absolutePath, type BeaconSpec, common, type Contradiction } from "./spec.ts";

const options = {
  type: "object",
  properties: {
    ...common,
    type: { const: "http" },
    urls: {
      type: "array",
      items: { type: "string", pattern: "^https?://[^\\s/]", maxLength: 2_048 },
      minItems: 1,
      maxItems: targetsMax,
      description: "each is asked for itself, and is the subject of its events: no secrets in here",
    },
    method: { enum: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], default: "GET" },
    headers: {
      type: "object",
      propertyNames: { pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$" },
      additionalProperties: {
        anyOf: [
          { type: "string", maxLength: 8_192, pattern: "^[\\t\\x20-\\x7e\\x80-\\xff]*$" },
          {
            type: "object",
            properties: { file: { ...absolutePath, description: "a file on the agent's host whose first line is the value: for secrets" } },
            required: ["file"],
            additionalProperties: false,
          },
        ],
      },
      default: {},
      maxProperties: 50,
      description: "a text, or the file that it stands in; never told in events",
    },
    body: { type: "string", maxLength: 65_536, description: "sent with the request" },
    status: {
      type: "array",
      items: {
        anyOf: [
          { type: "integer", minimum: 100, maximum: 599 },
          { type: "string", pattern: "^[1-5][0-9][0-9]-[1-5][0-9][0-9]$" },
        ],
        description: "a status or a range",
      },
      default: ["200-299"],
      minItems: 1,
      maxItems: 50,
      description: "what counts as an answer",
    },
    contains: { type: "string", minLength: 1, maxLength: 2_000, description: "a text that the body must have" },
    match: { ...pattern, description: "a regular expression (RE2) that the body must match" },
    exclude: { ...pattern, description: "a regular expression (RE2) that the body must not match" },
    body_bytes_max: {
      type: "integer",
      minimum: 0,
      maximum: 4_194_304,
      default: 262_144,
      description: "as much of the body is read and judged",
    },
    redirects: { type: "integer", minimum: 0, maximum: 20, default: 5, description: "how many are followed" },
    tls: { type: "object", properties: tlsProperties, additionalProperties: false, default: {} },
    socket: { ...absolutePath, description: "a unix socket to connect to instead of the host in the URL" },
    family,
    ...reachabilityOptions({ timeout: "10s" }),
  },
  required: ["name", "type", "urls"],
  additionalProperties: false,
} as const satisfies JSONSchema;

export const http = {
  summary: "URLs: whether they answer, in time, with the right status and body.",
  options,
  events: reachabilityEvents({
    kind: "http",
    what: "A URL",
    own: {
      url: { type: "string" },
      status: { type: "integer", description: "of the last answer" },
      redirects: { type: "integer", description: "how many were followed" },
      address: { type: "string", description: "which it was connected to" },
      timings,
    },
    required: ["url"],
    reasons: [...connectionReasons, "protocol", "redirects", "status", "body"],
    example: {
      subject: "https://shop.example.com/health",
      own: { url: "https://shop.example.com/health", redirects: 0, address: "192.0.2.10" },
      down: {
        status: 503,
        reason: "status",
        message: "the status is 503",
        latency_ms: 31.2,
        timings: { dns_ms: 1.2, connect_ms: 10.4, tls_ms: 11, answer_ms: 8.6 },
      },
      fine: { status: 200, timings: { dns_ms: 1.2, connect_ms: 10.4, tls_ms: 11, answer_ms: 18.2, rest_ms: 0.5 } },
    },
  }),
  contradiction,
} as const satisfies BeaconSpec;

interface Checked {
  urls: readonly string[];
  status: readonly (number | string)[];
  method: string;
  body?: string;
  contains?: string;
  match?: string;
  exclude?: string;
  timeout: string;
  slow_above?: string;
  clear_below?: string;
}

function contradiction(definition: Checked): Contradiction | undefined {
  const { urls, status, method, body, contains } = definition;
  for (const [index, url] of urls.entries()) {
    if (!URL.canParse(url)) return { path: ["urls", index], message: `"${url}" is no URL` };
    const { username, password } = new URL(url);
    if (username !== "" || password !== "")
      return { path: ["urls", index], message: "a URL is told in events: put the user and the password into a header from a file" };
  }
  for (const [index, range] of status.entries()) {
    const [low, high] = String(range).split("-").map(Number);
    if (high !== undefined && low! > high) return { path: ["status", index], message: `${range} is an empty range` };
  }
  for (const key of ["match", "exclude"] as const) {
    const problem = definition[key] === undefined ? undefined : patternProblem(definition[key]);
    if (problem !== undefined) return { path: [key], message: problem };
  }
  const looksAtBody = contains ?? definition.match ?? definition.exclude;
  if (method === "HEAD" && looksAtBody !== undefined) return { path: ["method"], message: "an answer to HEAD has no body to look at" };
  if (body !== undefined && (method === "GET" || method === "HEAD")) return { path: ["body"], message: `${method} sends no body` };
  return twice("urls", urls) ?? reachabilityContradiction(definition);
}
