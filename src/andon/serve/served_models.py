"""The models a server holds, found by name and version."""

from collections.abc import Iterator, Sequence

from andon.errors import BadConfig, BadRequest, did_you_mean
from andon.runtime.predictor import Predictor


class ServedModels:
    """Predictors by model name and version. The first one given answers requests that name no model.

    Args:
        predictors: at least one; no two of the same name and version.

    Raises:
        BadConfig: none, or two of the same name and version.
    """

    def __init__(self, predictors: Sequence[Predictor]) -> None:
        if not predictors:
            raise BadConfig(["nothing to serve: give at least one bundle"])
        self._by_name: dict[str, dict[int, Predictor]] = {}
        for predictor in predictors:
            name, version = predictor.manifest.name, int(predictor.manifest.version)
            versions = self._by_name.setdefault(name, {})
            if version in versions:
                raise BadConfig([f"model {name!r} version {version} was given twice"])
            versions[version] = predictor
        self._default_name = predictors[0].manifest.name

    def __iter__(self) -> Iterator[Predictor]:
        for versions in self._by_name.values():
            yield from (versions[version] for version in sorted(versions))

    def find(self, name: str | None = None, version: str | None = None) -> Predictor:
        """The model of that name and version; without a name the default model, without a version the newest.

        Raises:
            BadRequest: 404, there is none.
        """
        wanted = self._default_name if name is None else name
        if wanted not in self._by_name:
            raise BadRequest(
                f"no model {wanted!r} is served here. {did_you_mean(wanted, self._by_name)}",
                status=404,
                code="unknown_model",
            )
        versions = self._by_name[wanted]
        number = max(versions) if version is None else _number(version)
        if number not in versions:
            known = ", ".join(str(n) for n in sorted(versions))
            raise BadRequest(
                f"model {wanted!r} has no version {version!r} here; served: {known}", status=404, code="unknown_version"
            )
        return versions[number]

    def is_default(self, predictor: Predictor) -> bool:
        """Whether requests that name neither model nor version get this one."""
        return predictor is self.find()

    def close(self) -> None:
        """Closes every predictor."""
        for predictor in self:
            predictor.close()


def _number(version: str) -> int | None:
    return int(version) if version.isascii() and version.isdigit() and len(version) < 20 else None
