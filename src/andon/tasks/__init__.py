"""One package per task: how targets are encoded, how raw outputs become answers. No torch; no task knows another."""
