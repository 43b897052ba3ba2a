"""Answers statements: sessions, SELECT, scoring, and the schema `tilth`."""
