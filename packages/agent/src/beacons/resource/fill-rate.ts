/**
 * How fast something fills up, and how soon it will be full. Pure: samples in, a rate out; a straight line through the samples of a while
 * (least squares), so that one burst does not raise an alarm and one cleaning does not end it at once.
 */

export interface Sample {
  /** Monotonic, ms. */
  at: number;
  used: number;
}

export interface Fill {
  /** May be negative: it is emptied. */
  perSecond: number;
  /** Undefined: at this rate never. */
  fullInMs: number | undefined;
}

/** A line through fewer says little. */
const samplesMin = 3;
const samplesMax = 240;

export class FillRate {
  readonly #overMs: number;
  #samples: Sample[] = [];

  constructor(overMs: number) {
    this.#overMs = overMs;
  }

  /** Takes a sample. Undefined until half of the time is covered: a rate of less would be a guess. */
  add(sample: Sample, free: number): Fill | undefined {
    this.#samples.push(sample);
    this.#samples = this.#samples.filter(({ at }) => sample.at - at <= this.#overMs);
    if (this.#samples.length > samplesMax)
      this.#samples = this.#samples.filter((_, index, { length }) => index % 2 === 0 || index === length - 1);
    const covered = sample.at - this.#samples[0]!.at;
    if (this.#samples.length < samplesMin || covered < this.#overMs / 2) return undefined;
    const perSecond = slope(this.#samples) * 1_000;
    return { perSecond, fullInMs: perSecond <= 0 ? undefined : (free / perSecond) * 1_000 };
  }
}

/** Of the line of least squares, per ms. */
function slope(samples: Sample[]): number {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const at = mean((sample) => sample.at);
  const used = mean((sample) => sample.used);
  const along = samples.reduce((sum, sample) => sum + (sample.at - at) ** 2, 0);
  return along === 0 ? 0 : samples.reduce((sum, sample) => sum + (sample.at - at) * (sample.used - used), 0) / along;
}
