"""Projects to begin with; `tilth init` copies one. A folder is a template, and a file `gitignore` becomes `.gitignore`."""
