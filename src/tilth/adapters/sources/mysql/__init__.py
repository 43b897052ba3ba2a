"""MySQL and MariaDB, read by prepared statements, whose values come as they are kept and not as text."""
