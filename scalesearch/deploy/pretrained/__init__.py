"""Where weights come from: names, files, addresses, the Hugging Face hub."""
