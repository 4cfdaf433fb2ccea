"""The paper's comparisons, and similar ones, as experiments of any size."""
