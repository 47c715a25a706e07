"""From a list of pictures to batches on the device."""
