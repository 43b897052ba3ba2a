"""SQLite files, whose cells need not be what their column says."""
