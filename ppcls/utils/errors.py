"""What can go wrong because of the user or the machine: one class a kind, with its exit code."""


class PpclsError(ValueError):
    """A problem told in one line, without a traceback.

    ``code`` is the process's exit code, ``slug`` the word in ``error[<slug>]: ...``.
    """

    code = 1
    default_slug = "failed"

    def __init__(self, message: str, slug: str | None = None) -> None:
        super().__init__(message)
        self.slug = slug or self.default_slug


class ConfigError(PpclsError):
    """Usage or configuration: found before anything is written."""

    code = 2
    default_slug = "config"


class DataError(PpclsError):
    """List files, labels, pictures, batches, archives."""

    code = 3
    default_slug = "bad-image"


class WeightsError(PpclsError):
    """Checkpoints, weights, exported programs, downloads: damaged, hostile, foreign or unfit."""

    code = 4
    default_slug = "mismatch"


class NonFiniteError(PpclsError):
    """A loss, logits or a tensor to be saved is NaN or infinite."""

    code = 5
    default_slug = "non-finite"


class WorkerError(PpclsError):
    """A loader worker or a rank failed."""

    code = 6
    default_slug = "worker"


class RankError(WorkerError):
    """Another rank failed: this one follows it, with its code where it said one."""

    default_slug = "rank"

    def __init__(self, message: str, slug: str | None = None, code: int = WorkerError.code) -> None:
        super().__init__(message, slug)
        self.code = code


class StoppedError(PpclsError):
    """A signal ended what has nothing to save; ``number`` is the signal's."""

    default_slug = "stopped"

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = 128 + number


class StallError(PpclsError):
    """Nothing was finished for longer than ``Global.watchdog_s`` allows."""

    code = 7
    default_slug = "step-stall"
