"""Choosing the next token from the model's logits."""

from __future__ import annotations

import torch
from decoding import Sampling


def make_generator(seed: int | None) -> torch.Generator:
    """Return a source of randomness on the CPU; the same seed chooses the same tokens."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


def choose_token(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """Return the next token id for logits of shape (vocabulary,)."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    scaled = logits.float().cpu() / sampling.temperature
    probabilities, order = torch.softmax(scaled, dim=-1).sort(descending=True)
    if sampling.top_p < 1:
        # A token stays when those before it have not yet filled top_p.
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill(before >= sampling.top_p, 0)
        probabilities[0] = max(float(probabilities[0]), 1e-9)  # the likeliest is never left out
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
