"""The page in the browser: uploads, one encoding at a time, questions, results; nothing imports it but tools."""
