"""Makes a chat model that is tiny but whole: 2-layer Llama, BPE tokenizer, ChatML template.

`python tests/scripts/tiny_model.py OUT_DIR [--dataset FILE]` writes a Hugging Face folder in a
few seconds. The tokenizer is trained on the data set (or on built-in text), so that its words are
whole tokens. The weights are random: the model knows nothing, and an adapter on it can still
learn short answers by heart.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = (
    "How many months does the warranty last? The warranty lasts 27 months. system user assistant"
)


def make_tiny_model(
    out: Path,
    texts: list[str] | None = None,
    *,
    hidden: int = 64,
    template: str = CHATML,
    seed: int = 0,
) -> Path:
    """Write the model to `out` and return it."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*(texts or []), WORDS], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        model_max_length=2048,
    )
    fast.chat_template = template
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=hidden,
            intermediate_size=hidden * 2,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=2048,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            tie_word_embeddings=False,
            initializer_range=0.08,
        )
    )
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    fast.save_pretrained(out)
    return out


def texts_of(dataset: Path) -> list[str]:
    """Return all contents of a data set of conversations."""
    rows = [json.loads(x) for x in dataset.read_text("utf-8-sig").split("\n") if x.strip()]
    return [str(m["content"]) for row in rows for m in row["messages"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--dataset", type=Path)
    args = parser.parse_args()
    print(make_tiny_model(args.out, texts_of(args.dataset) if args.dataset else None))


if __name__ == "__main__":
    main()
