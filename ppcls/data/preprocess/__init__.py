"""From the bytes of a picture to a batch: sample ops on the host, batch ops on the device.

Importing this package registers the sample ops and imports no paddle; ``preprocess.batch_ops`` is imported apart.
"""

from ppcls.data.preprocess import ops
from ppcls.data.preprocess.pipeline import Pipeline

__all__ = ["Pipeline", "ops"]
