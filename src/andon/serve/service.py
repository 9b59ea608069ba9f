"""What every protocol stands on: find a model, have pictures looked at, count it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from andon.core.machine import available_cpus
from andon.errors import AndonError
from andon.runtime.predictor import Prediction, Predictor
from andon.serve.metrics import ServerMetrics
from andon.serve.served_models import ServedModels
from andon.serve.settings import ServeSettings
from andon.serve.work import ByteBudget, Done, WorkPool

# While one thread hands its answer over or waits for its engine lane, another decodes the next picture.
_SPARE_THREADS = 1


@dataclass(slots=True)
class Health:
    """Whether the server wants requests.

    Attributes:
        ready: a load balancer may send requests.
        accepting: requests are still answered; false only in the last part of a shutdown.
        in_flight: predict requests begun and not answered.
    """

    ready: bool = True
    accepting: bool = True
    in_flight: int = 0


class Service:
    """The models, the threads and the books of one server.

    Args:
        models: what is served; closed with the service.
        settings: the limits.
    """

    def __init__(self, models: ServedModels, settings: ServeSettings) -> None:
        self.models = models
        self.settings = settings
        self.health = Health()
        self.metrics = ServerMetrics()
        self.budget = ByteBudget(settings.max_held_bytes)
        self.pool = WorkPool(
            threads=settings.threads or available_cpus() + _SPARE_THREADS, max_waiting=settings.max_waiting
        )
        self.started_at = time.time()
        self.metrics.waiting.set_function(lambda: self.pool.waiting)
        self.metrics.held_bytes.set_function(lambda: self.budget.held)
        self.metrics.ready.set_function(lambda: float(self.health.ready))

    async def predict(
        self, predictor: Predictor, pictures: Sequence[bytes], *, min_score: float | None = None
    ) -> list[Done[Prediction]]:
        """What `predictor` says of each picture, in order; a bad picture's error stands in its own place.

        Raises:
            BadRequest: 503, the line is full.
        """

        def look(picture: bytes) -> Prediction:
            return predictor.predict(picture, min_score=min_score, max_pixels=self.settings.max_pixels)

        done = await self.pool.run(
            [lambda picture=picture: look(picture) for picture in pictures],  # type: ignore[misc]
            timeout_s=self.settings.deadline_s,
        )
        for one in done:
            self._count(predictor, one)
        return done

    def close(self) -> None:
        """Ends the threads and closes the models."""
        self.pool.close()
        self.models.close()

    def _count(self, predictor: Predictor, done: Done[Prediction]) -> None:
        result = done.result
        if isinstance(result, AndonError):
            outcome = result.code
        elif isinstance(result, Exception):
            outcome = "internal"
        else:
            outcome = "not_sure" if result.answer.not_sure else "finding" if result.answer.finding else "no_finding"
            self.metrics.stage_seconds.labels("queue").observe(done.queued_s)
            for stage, milliseconds in result.timing_ms.items():
                self.metrics.stage_seconds.labels(stage).observe(milliseconds / 1e3)
        self.metrics.images.labels(predictor.manifest.name, predictor.manifest.version, outcome).inc()
