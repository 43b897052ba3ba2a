"""Keeps an environment right unattended: the reconciler, its looks, its backoff."""
