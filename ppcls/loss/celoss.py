"""Cross entropy."""

import logging

import paddle
from paddle import Tensor, nn

from ppcls.registry import LOSSES

_log = logging.getLogger("ppcls")


@LOSSES.register
class CELoss(nn.Layer):
    """Mean cross entropy over samples, in nats, with label smoothing.

    Args:
        epsilon: share of the target that is spread evenly over all classes; null or a value outside (0, 1) is none.
        reduction: "mean" alone.
    Source: PaddleClas ``CELoss``, which sends soft targets through a softmax when ``epsilon`` is null; here they are
        used as given, and the dtype of the labels, not their width, says whether they are soft.
    """

    def __init__(self, epsilon: float | None = None, reduction: str = "mean") -> None:
        super().__init__()
        if reduction != "mean":
            raise ValueError(f"reduction is 'mean', the only one offered; got {reduction!r}")
        if epsilon is not None and (isinstance(epsilon, bool) or not isinstance(epsilon, int | float)):
            raise ValueError(f"epsilon is a number in (0, 1) or null; got {epsilon!r}")
        if epsilon and not 0 < epsilon < 1:
            _log.warning("CELoss: epsilon %s is outside (0, 1): no label smoothing", epsilon)
            epsilon = None
        self.epsilon = float(epsilon or 0.0)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """0-d mean, float32 (float64 for float64 logits), under mixed precision too.

        Shape:
            logits ``[N, C]``; labels integer ``[N]`` or ``[N, 1]``, or float ``[N, C]``.
        Raises:
            ValueError: the labels fit neither shape.
        """
        # Autocast at level O2 would turn what follows the softmax back to half precision.
        with paddle.amp.auto_cast(enable=False):
            return cross_entropy(logits, labels, self.epsilon)


def cross_entropy(logits: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """``mean_i(-sum_c t_ic log_softmax(x_i)_c)`` with ``t = (1 - epsilon) * target + epsilon / C``; see ``CELoss``."""
    wide = logits if logits.dtype in (paddle.float32, paddle.float64) else logits.astype("float32")
    # Not F.log_softmax: on the CPU it cuts every distance to the largest logit at 64.
    log_p = wide - paddle.logsumexp(wide, axis=1, keepdim=True)  # [N, C]
    pick = _soft if paddle.is_floating_point(labels) else _hard
    target_log_p = pick(log_p, labels)  # [N]
    if not epsilon:
        return -target_log_p.mean()
    # The even share of every class times its log-probability is a mean: no smoothed target is ever written out.
    return -((1.0 - epsilon) * target_log_p + epsilon * log_p.mean(axis=1)).mean()


def _soft(log_p: Tensor, labels: Tensor) -> Tensor:
    if list(labels.shape) != list(log_p.shape):
        raise ValueError(
            f"soft labels of shape {list(labels.shape)} do not fit logits of shape {list(log_p.shape)}; "
            "class_num of the batch op and of the model must be equal (Arch.class_num)"
        )
    return (labels.astype(log_p.dtype) * log_p).sum(axis=1)


def _hard(log_p: Tensor, labels: Tensor) -> Tensor:
    samples = log_p.shape[0]
    if list(labels.shape) not in ([samples], [samples, 1]):
        raise ValueError(
            f"labels of shape {list(labels.shape)} do not fit logits of shape {list(log_p.shape)}; "
            f"class ids have shape [{samples}], vectors of width class_num must be float"
        )
    ids = labels.astype("int64").reshape([samples, 1])
    return paddle.take_along_axis(log_p, ids, axis=1).squeeze(1)
