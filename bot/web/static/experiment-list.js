// The list of sweeps, kept up to date.

import { start } from "./experiment-live.js";

start();
