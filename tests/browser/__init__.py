"""The pages in real Chromium, served by the demo in a process of its own."""
