"""The demo: real flights of 2013 (`data`), and the story that is told with them (`story`)."""
