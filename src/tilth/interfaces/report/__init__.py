"""A report of a model as one page that needs nothing else: no script, no request, light and dark."""
