"""Studies: what people look at when runs are done: reports, plots, videos."""
