"""One module a control, named after the promise that it breaks."""
