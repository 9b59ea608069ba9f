"""Learning-rate schedules as pure functions of progress, so that resuming needs no state.

Progress is 0..1: the share of steps done, or of the time limit used up, whichever is further.
"""

import math
from collections.abc import Callable

from andon.train.config import ScheduleConfig

Schedule = Callable[[float, ScheduleConfig], float]

SCHEDULES: dict[str, Schedule] = {
    "fixed": lambda _p, _c: 1.0,
    "cosine": lambda p, c: c.final + (1 - c.final) * 0.5 * (1 + math.cos(math.pi * p)),
    "linear": lambda p, c: 1 - (1 - c.final) * p,
    "polynomial": lambda p, c: c.final + (1 - c.final) * (1 - p) ** c.power,
    "exponential": lambda p, c: max(c.final, 1e-8) ** p,
    "step": lambda p, c: c.factor ** math.floor(p / c.every + 1e-9),
}


def rate_factor(progress: float, config: ScheduleConfig) -> float:
    """The share of the highest learning rate at `progress` 0..1, warm-up included."""
    progress = min(1.0, max(0.0, progress))
    if progress < config.warmup:
        return (progress + 1e-3) / (config.warmup + 1e-3)
    after_warmup = (progress - config.warmup) / max(1e-9, 1 - config.warmup)
    return SCHEDULES[config.name](after_warmup, config)
