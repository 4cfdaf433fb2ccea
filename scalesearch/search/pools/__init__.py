"""Worker pools: this process, local processes, Dask, or any executor."""
