"""What a run does now, for whoever watches that it goes on."""


class Pulse:
    """Is told whenever something was finished; without a limit it does nothing."""

    def mark(self, doing: str) -> None:
        """Something was finished; the run is now at ``doing``."""
