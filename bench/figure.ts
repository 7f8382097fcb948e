/** One figure. `aim`: what it must stay under; what it must reach when more is `better`. */
export interface Figure {
  bench: string;
  metric: string;
  value: number;
  unit: string;
  aim?: number;
  better?: "less" | "more";
  /** What is in it. */
  note?: string;
  settings: Record<string, unknown>;
}

/** Makes the figures of a benchmark, which have its name and settings in common. */
export function figuresOf(bench: string, settings: Record<string, unknown>) {
  return (metric: string, value: number, unit: string, aim?: number): Figure => ({
    bench,
    metric,
    value,
    unit,
    settings,
    ...(aim === undefined ? {} : { aim }),
  });
}
