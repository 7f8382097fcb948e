/**
 * The content that a command brings to its host: `source` becomes a digest when the command goes out. That, and no name, is what the host
 * asks for and checks. What cannot be read makes the command one that cannot be sent.
 */
import { type AnyActionName, specOf } from "@needfire/shared/action";
import { contentBytesMax } from "@needfire/shared/actions/spec";
import type { Files } from "./files.ts";
import type { Revealed } from "./secrets.ts";

export function withContent(revealed: Revealed, action: AnyActionName, files: Pick<Files, "publish">): Revealed {
  const spec = specOf(action);
  if (!revealed.ok || spec.sourced !== true) return revealed;
  const { source, digest: pinned } = revealed.args;
  if (typeof source !== "string") return revealed;
  const published = files.publish(source, contentBytesMax);
  if (!published.ok) return { ok: false, reason: published.message };
  const { digest, size } = published;
  if (pinned !== undefined && pinned !== digest)
    return { ok: false, reason: `${source} has the digest ${digest}, and is to have ${String(pinned)}` };
  return { ...revealed, args: { ...revealed.args, digest, size } };
}
