/** One figure. `aim`: what it must stay under; what it must reach when more is `better`. */
export interface Figure {
  bench: string;
  metric: string;
  value: number;
  unit: string;
  aim?: number;
  better?: "less" | "more";
  settings: Record<string, unknown>;
}
