"""What is due when."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What is due when; the only place that knows. Epochs count from 1, and 0 or less switches an interval off."""

    epochs: int
    update_freq: int
    eval_interval: int
    start_eval_epoch: int
    save_interval: int
    save_every_steps: int
    print_batch_step: int

    def evaluates(self, epoch: int) -> bool:
        """Whether this epoch ends with an evaluation; the last one always does, unless evaluation is off."""
        if self.eval_interval <= 0:
            return False
        return epoch == self.epochs or (epoch >= self.start_eval_epoch and epoch % self.eval_interval == 0)

    def saves_epoch(self, epoch: int) -> bool:
        """Whether ``epoch_N`` is kept."""
        return self.save_interval > 0 and (epoch % self.save_interval == 0 or epoch == self.epochs)

    def saves_step(self, step: int) -> bool:
        """Whether ``latest`` is saved in the middle of an epoch."""
        return self.save_every_steps > 0 and step % self.save_every_steps == 0

    def prints(self, batch: int, batches: int) -> bool:
        """Whether one of the ``batches`` micro-batches before ``batch`` is an iteration that is printed."""
        if self.print_batch_step <= 0:
            return False
        last = batch - 1
        return last // self.print_batch_step != (last - batches) // self.print_batch_step
