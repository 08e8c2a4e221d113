"""What the gateway keeps: notes, answers, decisions and the audit log, in SQLite or PostgreSQL."""
