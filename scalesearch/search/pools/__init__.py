"""Worker pools: this process, local processes, Dask, any executor."""
