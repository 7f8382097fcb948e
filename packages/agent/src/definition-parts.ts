/**
 * Puts sets of definitions together that the master sends in parts: nothing is in force before all parts of one version are here.
 */
export interface Part<T> {
  version: string;
  /** From 0 on. */
  part: number;
  parts: number;
  items: T[];
}

/** `repeated`: of a set that was whole before. */
export type Taken<T> = { kind: "partial" } | { kind: "repeated" } | { kind: "whole"; items: T[] };

export class DefinitionParts<T> {
  #version: string | undefined;
  #whole = false;
  #parts: (T[] | undefined)[] = [];

  take({ version, part, parts, items }: Part<T>): Taken<T> {
    if (version !== this.#version || (!this.#whole && parts !== this.#parts.length)) {
      this.#version = version;
      this.#whole = false;
      this.#parts = Array.from({ length: parts });
    }
    if (this.#whole) return { kind: "repeated" };
    if (part < parts) this.#parts[part] = items;
    if (this.#parts.includes(undefined)) return { kind: "partial" };
    const whole = this.#parts.flatMap((each) => each ?? []);
    this.#whole = true;
    this.#parts = [];
    return { kind: "whole", items: whole };
  }

  /** A session began: what an earlier one brought does not count. */
  reset(): void {
    this.#version = undefined;
    this.#whole = false;
    this.#parts = [];
  }
}
