"""One module a family: `CASES`, a table in the language of `compat.script`, and `GRAMMAR`, templates of `compat.grammar`."""
