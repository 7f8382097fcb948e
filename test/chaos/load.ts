/**
 * The stream of numbered things: files on the hosts, which the beacons see, and events that an operator sends. Remembers what it made, and
 * when it cannot know whether something counts.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Chance } from "../chance.ts";
import { fileName, type House } from "./house.ts";

/** The last numbers are kept for the end, when it is to be seen that everything flows again. */
export const closingNumbers = 100;
const closingEveryMs = 300;

/** `life`: which one of the agent's lives it was made in. */
export interface Numbered {
  number: number;
  life: number;
}

/** `id`: what the master called it; undefined when no answer came, and it may be there or not. */
export interface Sent {
  number: number;
  id?: string;
}

export class Load {
  readonly files = new Map<string, Numbered[]>();
  readonly sent: Sent[] = [];
  readonly #house: House;
  readonly #chance: Chance;
  readonly #numbers: number;

  constructor(house: House, chance: Chance, numbers: number) {
    this.#house = house;
    this.#chance = chance;
    this.#numbers = numbers;
    for (const agent of house.agents) this.files.set(agent, []);
  }

  /** Goes on until `signal` says that it is enough. */
  async run(signal: AbortSignal, pauseMs: number): Promise<void> {
    await Promise.all([...this.#house.agents.map((agent) => this.#makeFiles(agent, signal, pauseMs)), this.#send(signal, pauseMs * 3)]);
  }

  /** Makes one file on each agent again and again, until `arrived` says that one of them is in the journal. */
  async close(arrived: (agent: string, from: number) => Promise<boolean>, giveUp: AbortSignal): Promise<void> {
    await Promise.all(
      this.#house.agents.map(async (agent) => {
        const from = this.files.get(agent)!.length;
        while (!giveUp.aborted) {
          this.#make(agent, this.#numbers);
          await delay(closingEveryMs);
          if (await arrived(agent, from)) return;
        }
      }),
    );
  }

  async #makeFiles(agent: string, signal: AbortSignal, pauseMs: number): Promise<void> {
    while (!signal.aborted) {
      // Now and then many at once.
      const burst = this.#chance.fraction() < 0.03 ? 10 : 1;
      for (let count = 0; count < burst; count++) this.#make(agent, this.#numbers - closingNumbers);
      await delay(this.#chance.between(0, 2 * pauseMs));
    }
  }

  /** A host that is down makes nothing. */
  #make(agent: string, limit: number): void {
    const made = this.files.get(agent)!;
    const number = made.length;
    if (number >= limit || !this.#house.isUp(agent)) return;
    writeFileSync(join(this.#house.folder(agent), fileName(number)), "");
    made.push({ number, life: this.#house.lives.get(agent)!.length - 1 });
  }

  async #send(signal: AbortSignal, pauseMs: number): Promise<void> {
    while (!signal.aborted) {
      const sent: Sent = { number: this.sent.length };
      this.sent.push(sent);
      await this.#house.bed.client.send({ type: "chaos.sent", data: { number: sent.number } }).then(
        ({ id }) => (sent.id = id),
        () => undefined,
      );
      await delay(this.#chance.between(0, 2 * pauseMs));
    }
  }
}
