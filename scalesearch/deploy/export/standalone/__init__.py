"""Networks as source code that needs scalesearch no more."""
