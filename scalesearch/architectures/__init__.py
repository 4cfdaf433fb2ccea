"""Networks as data: what they are, what they cost, and which of them cost the same."""
