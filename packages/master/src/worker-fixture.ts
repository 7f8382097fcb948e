/** What the test of `thread.ts` puts into a thread. */
import { NeedfireError } from "@needfire/shared/errors";

export interface Served {
  echo(value: unknown): unknown;
  later(value: string): Promise<string>;
  say(notice: unknown): void;
  fail(how: "coded" | "plain" | "full" | "late"): Promise<never>;
  hang(): Promise<never>;
  die(): void;
}

export function open(options: { fail?: boolean }, notify: (notice: unknown) => void): Served & { close(): void } {
  if (options.fail === true) throw new NeedfireError("STATE_LOCKED", "somebody has it");
  const order: string[] = [];
  return {
    echo: (value) => value,
    later: async (value) => {
      await Promise.resolve();
      order.push(value);
      return order.join();
    },
    say: (notice) => notify(notice),
    fail: (how) => {
      if (how === "late") return Promise.reject(new NeedfireError("CONFLICT", "too late"));
      if (how === "coded") throw new NeedfireError("NOT_FOUND", "not here");
      throw Object.assign(new Error("as it is"), how === "full" ? { errcode: 13 } : {});
    },
    hang: () => new Promise(() => {}),
    die: () => process.exit(3),
    close: () => notify("closed"),
  };
}
