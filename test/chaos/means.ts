/** What this machine allows: why there are no networks, small disks or clocks of our own, or undefined where there are. Asked once. */
import { faketimeLibrary } from "./clock-file.ts";
import { Disk } from "./disk.ts";
import { Network } from "./network.ts";

export interface Means {
  network: string | undefined;
  disks: string | undefined;
  clocks: string | undefined;
}

export function meansHere(): Means {
  const clocks = faketimeLibrary() === undefined ? "there is no libfaketime (Debian: faketime)" : undefined;
  return { network: Network.unavailable(), disks: Disk.unavailable(), clocks };
}
