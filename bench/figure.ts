/** One figure. `aim`: what it must stay under. */
export interface Figure {
  bench: string;
  metric: string;
  value: number;
  unit: string;
  aim?: number;
  settings: Record<string, unknown>;
}
