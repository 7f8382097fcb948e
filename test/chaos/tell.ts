/** A round, a fault and a whole run in words. */
import type { RoundReport, Struck } from "./round.ts";

export function lineOf({ round, count, faults, mismatches, tookMs, settledMs }: RoundReport): string {
  const struck = faults.map(({ fault, target, skipped }) => (skipped === undefined ? `${fault} ${target}` : `(${fault})`)).join(", ");
  const verdict = mismatches.length === 0 ? "ok      " : "MISMATCH";
  const seen =
    count === undefined
      ? "nothing counted"
      : `${count.files} files (${count.unseen} unseen, ${count.told} told lost), ${count.sent} sent, ${count.events} events, ${count.tasks} tasks, ${count.ran} ran${executionsText(count.executions)}`;
  return `${String(round).padStart(3)} ${verdict} ${(tookMs / 1_000).toFixed(1)} s (${(settledMs / 1_000).toFixed(1)} to settle): ${seen}; ${struck}`;
}

export function faultText({ fault, target, fromMs, toMs, note, skipped }: Struck): string {
  if (skipped !== undefined) return `${fault} left out: ${skipped}`;
  return `${fault} ${target}, ${seconds(fromMs)} to ${seconds(toMs)}: ${note ?? ""}`;
}

export function summaryOf(reports: readonly RoundReport[]) {
  const sum = (of: (report: RoundReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  const faults: Record<string, number> = {};
  for (const { fault, skipped } of reports.flatMap((report) => report.faults))
    if (skipped === undefined) faults[fault] = (faults[fault] ?? 0) + 1;
  const totals = {
    rounds_run: reports.length,
    files: sum(({ count }) => count?.files ?? 0),
    unseen: sum(({ count }) => count?.unseen ?? 0),
    told_lost: sum(({ count }) => count?.told ?? 0),
    sent: sum(({ count }) => count?.sent ?? 0),
    events: sum(({ count }) => count?.events ?? 0),
    tasks: sum(({ count }) => count?.tasks ?? 0),
    commands_run: sum(({ count }) => count?.ran ?? 0),
    mismatches: sum(({ mismatches }) => mismatches.length),
    faults,
  };
  const { mismatches } = totals;
  const struck = Object.entries(faults)
    .map(([name, times]) => `${name} ${times}`)
    .join(", ");
  const verdict =
    reports.length === 0 ? "no round came to its end" : mismatches === 0 ? "nothing lost, nothing doubled" : `${mismatches} MISMATCHES`;
  const text = `${totals.rounds_run} rounds: ${totals.files} files (${totals.unseen} unseen, ${totals.told_lost} told lost), ${totals.sent} events sent, ${totals.events} events in journals, ${totals.tasks} tasks, ${totals.commands_run} commands run; faults: ${struck}\n${verdict}`;
  return { ...totals, text };
}

function executionsText(executions: Record<string, number>): string {
  const others = Object.entries(executions).filter(([state]) => state !== "succeeded");
  return others.length === 0 ? "" : ` (${others.map(([state, times]) => `${times} ${state}`).join(", ")})`;
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? "?" : `${(ms / 1_000).toFixed(2)} s`;
}
