"""A search's folder and a run's folder: records, environment, and their readers."""
