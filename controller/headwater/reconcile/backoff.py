"""When to try again."""

import random


def delay(attempt: int, rng: random.Random, base: float = 1.0, cap: float = 900.0) -> float:
    """Seconds before attempt `attempt` (1 is the first retry): exponential with full jitter.

    Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return rng.uniform(0, min(cap, base * 2 ** min(attempt, 16)))
