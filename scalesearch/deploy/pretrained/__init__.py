"""Pretrained weights: names, files, addresses, and the Hugging Face hub."""
