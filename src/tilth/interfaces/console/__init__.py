"""The console: pages that show what `tilth.*` holds, drawn by a process of their own, and forms that perform statements.

`places` are its URLs, `pages` makes what stands there, `acts` are the statements of its forms, `sessions` who is signed in. The door
(`interfaces.http.console`) asks `drawing_process` for pages and passes them on; `child` is that process.
"""
