"""SQLite: schema and migrations, the recorder that subscribes to events, and queries."""
