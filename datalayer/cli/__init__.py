"""The `datalayer` command: words, tables and exit codes over the layers below; nothing is decided here."""
