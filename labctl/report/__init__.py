"""Reports: HTML, Markdown and JSON from queries on the database, and from nothing else."""
