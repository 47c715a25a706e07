"""What every layer may use: the standard library, numpy, paddle, and nothing above."""
