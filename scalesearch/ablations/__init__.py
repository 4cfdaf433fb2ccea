"""The paper's comparisons, and ours after them, as experiments of any size."""
