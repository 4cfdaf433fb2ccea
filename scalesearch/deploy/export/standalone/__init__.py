"""Networks as source code that does not need scalesearch."""
