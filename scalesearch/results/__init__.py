"""The folders of searches and runs: records, environment, and their readers."""
