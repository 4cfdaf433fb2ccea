"""The search: what to train next, and the ledger of what was trained.

What drives one is loaded when it is first used: a worker, which is started with this package,
needs neither Optuna nor a database.
"""
