"""The student: the only package that loads a causal language model with torch, transformers and peft."""
