"""A project as its files declare it: settings, statements, own estimators."""
