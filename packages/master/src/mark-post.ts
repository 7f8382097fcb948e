/**
 * Marks on their way to the engine's thread: those of one round of the event loop go in one message. Nothing overtakes them that must not be
 * durable before them (P3), nor a result of the command that they are of: whoever hands such to the engine flushes first.
 */
import type { Mark } from "./store/store.ts";

export class MarkPost {
  readonly #post: (marks: Mark[]) => void;
  #marks: Mark[] = [];

  constructor(post: (marks: Mark[]) => void) {
    this.#post = post;
  }

  add(marks: readonly Mark[]): void {
    if (this.#marks.length === 0 && marks.length > 0) setImmediate(() => this.flush());
    this.#marks.push(...marks);
  }

  flush(): void {
    if (this.#marks.length === 0) return;
    const marks = this.#marks;
    this.#marks = [];
    this.#post(marks);
  }
}
