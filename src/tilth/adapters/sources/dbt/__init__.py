"""What a dbt project makes, as tables over another source."""
