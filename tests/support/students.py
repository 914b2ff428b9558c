"""A student and an embedder that are quick to load and to train."""

from pathlib import Path


def make_tiny(folder: Path) -> None:
    """A real causal language model of two small layers, with the packaged student's tokenizer, in a new folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from kdb.student import weights

    tokenizer = AutoTokenizer.from_pretrained(weights.student_path(weights.STUDENT))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def make_tiny_embedder(folder: Path) -> None:
    """A real sentence encoder of one small layer, with the packaged embedder's tokenizer, in a new folder."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from kdb.retrieval import EMBEDDER
    from kdb.retrieval.packaged import embedder_path

    tokenizer = AutoTokenizer.from_pretrained(embedder_path(EMBEDDER))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    BertModel(config).save_pretrained(folder)
