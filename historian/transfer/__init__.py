"""History in and out in bulk: CSV, Parquet, Arrow; docs/transfer.md."""
